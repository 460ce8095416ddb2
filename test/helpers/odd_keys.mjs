// Files to store whose keys are everything that a key may be, one a line, for `objects.ts put`.
const keys = [
  'plain.txt',
  'a/b/c.txt',
  '../up.txt',
  'a/../b.txt',
  'b.txt',
  'a//b.txt',
  '/leading',
  'leading',
  'trailing/',
  './x',
  'x',
  'a/./b',
  '.',
  '..',
  '-rf',
  ' space ',
  'a+b',
  'a b',
  'a%2Fb',
  '100%',
  'q?x=1&y=2',
  '#fragment',
  `quo'te"\`$(id)`,
  '<&>.xml',
  "~!*()'",
  'back\\slash',
  'new\nline',
  'carriage\rreturn',
  'tab\t',
  'control\u0001',
  'line\u2028separator',
  'é ü 漢字 😀',
  'x'.repeat(1000),
  '漢'.repeat(333),
]
// A header's bytes, each as a character: an app sends UTF-8, an older browser's name may be Latin-1.
const bytes = (text, encoding) => Buffer.from(text, encoding).toString('latin1')
const dispositions = [
  'attachment; filename="cv.pdf"',
  bytes('attachment; filename=CV_Léa_€_漢.pdf', 'utf8'),
  bytes('attachment; filename=CV_Léa.pdf', 'latin1'),
]
const headers = {
  CacheControl: 'private',
  Metadata: { owner: 'someone' },
}
keys.forEach((key, index) =>
  console.log(
    JSON.stringify({
      key,
      content: `content ${index}\0\r\n`,
      type: `text/x-${index}`,
      ...(index % 2 ? {} : { headers: { ContentDisposition: dispositions[(index / 2) % 3], ...headers } }),
    }),
  ),
)
console.log(JSON.stringify({ key: 'empty', content: '', type: 'application/x-empty' }))
