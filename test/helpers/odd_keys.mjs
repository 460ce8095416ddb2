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
const headers = {
  ContentDisposition: 'attachment; filename="cv.pdf"',
  CacheControl: 'private',
  Metadata: { owner: 'someone' },
}
keys.forEach((key, index) =>
  console.log(
    JSON.stringify({
      key,
      content: `content ${index}\0\r\n`,
      type: `text/x-${index}`,
      ...(index % 2 ? {} : { headers }),
    }),
  ),
)
console.log(JSON.stringify({ key: 'empty', content: '', type: 'application/x-empty' }))
