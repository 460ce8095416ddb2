// What the guides tell people to type: each script is there, and knows each option that stands behind its name.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'

const scripts = readdirSync(join(root, 'scripts')).map(file => file.replace(/\.ts$/, ''))

// One process prints the help of all of them.
const print =
  `for (const name of ${JSON.stringify(scripts)}) { console.log('\\f' + name); await ` +
  `import(${JSON.stringify(join(root, 'scripts/'))} + name + '.ts') }`
const printed = execFileSync(
  process.execPath,
  ['--import', 'tsx', '--input-type=module', '--eval', print, 'x', '--help'],
  { cwd: root, encoding: 'utf8' },
)
const helps = new Map(
  printed
    .split('\f')
    .slice(1)
    .map(text => [text.slice(0, text.indexOf('\n')), text] as const),
)

/** What stands between backquotes, and each line of a block of code. */
const codeIn = (text: string) =>
  text
    .split('```')
    .flatMap((part, index) =>
      index % 2 === 1 ? part.split('\n') : (part.match(/`[^`]+`/g) ?? []).map(span => span.replaceAll(/\s+/g, ' ')),
    )

/**
 * [script, option] as they stand together; [script, ''] where none does. What follows " -- " is for another program.
 */
const commandsIn = (text: string) =>
  codeIn(text).flatMap(code =>
    [...code.matchAll(/(?<![\w/.-])(?:scripts\/)?(\w+)\.ts\b((?:(?!\.ts\b| -- )[^;#|&])*)/g)].flatMap(
      ([, script = '', words = '']) =>
        ['', ...(words.match(/(?<=[\s[])--[a-z][a-z-]*/g) ?? [])].map(option => [script, option] as const),
    ),
  )

const guides = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(root, 'docs')).map(file => `docs/${file}`)].filter(
  file => file.endsWith('.md'),
)
const textOf = (guide: string) => readFileSync(join(root, guide), 'utf8')

for (const guide of guides.filter(it => it !== 'CONTRIBUTING.md'))
  void test(`${guide} names scripts and options that are there`, () => {
    const isKnown = ([script, option]: readonly [string, string]) =>
      helps.has(script) && new RegExp(`${option}(?![\\w-])`).test(helps.get(script) ?? '')
    const commands = commandsIn(textOf(guide))
    assert.deepEqual(
      commands.filter(command => !isKnown(command)),
      [],
    )
  })

for (const guide of guides)
  void test(`${guide} names files of this checkout that are there`, () => {
    const paths = codeIn(textOf(guide)).flatMap(
      code => code.match(/(?<![\w./~-])(?:lib|test|scripts|recipes|docs)\/[\w./-]+\.\w+/g) ?? [],
    )
    assert.deepEqual(
      paths.filter(path => !existsSync(join(root, path))),
      [],
    )
  })

for (const guide of ['README.md', 'docs/HEBERGEMENT.md'])
  void test(`${guide} leaves no script out`, () => {
    const commands = commandsIn(textOf(guide))
    assert.deepEqual(
      scripts.filter(name => !commands.some(([script]) => script === name)),
      [],
    )
  })

/** As GitHub makes them of headings. */
const anchorsIn = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

for (const guide of guides)
  void test(`each link in ${guide} leads to a file, and to a heading of it`, () => {
    const links = [...textOf(guide).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
    const broken = links.filter(([, path = '', anchor]) => {
      const file = path === '' ? join(root, guide) : resolve(root, dirname(guide), path)
      return !existsSync(file) || (anchor !== undefined && !anchorsIn(readFileSync(file, 'utf8')).includes(anchor))
    })
    assert.deepEqual(
      broken.map(([link]) => link),
      [],
    )
  })

void test('README is short', () => {
  const words = textOf('README.md').split(/\s+/).length
  assert.ok(words < 1000, `${words} words`)
})

void test('each guide that installs tsx names the one of the lock file', () => {
  const { packages } = JSON.parse(textOf('package-lock.json')) as { packages: Record<string, { version: string }> }
  const named = guides.flatMap(guide =>
    codeIn(textOf(guide)).flatMap(code =>
      [...code.matchAll(/\bnpm (?:install|i) .*?\b(tsx\S*)/g)].map(
        ([, name = '']) => `${guide}: ${name.replace('`', '')}`,
      ),
    ),
  )
  assert.ok(named.some(it => it.startsWith('README.md')))
  const wanted = `tsx@${packages['node_modules/tsx']?.version}`
  assert.deepEqual(
    named.filter(it => !it.endsWith(`: ${wanted}`)),
    [],
  )
})

void test('the newest release of CHANGELOG.md is the version of package.json, and each has its day', () => {
  const heads = [...textOf('CHANGELOG.md').matchAll(/^## (.*)$/gm)].map(([, head = '']) => head)
  const releases = heads
    .filter((head, index) => index > 0 || head !== '[Unreleased]')
    .map(head => /^\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$/.exec(head))
  assert.ok(releases.every(Boolean), heads.join())
  const { version } = JSON.parse(textOf('package.json')) as { version: string }
  assert.equal(releases[0]?.[1], version)
  const days = releases.map(release => release?.[2] ?? '')
  assert.deepEqual(days, days.toSorted().toReversed())
})

/** The sections of a guide by their headings: "## A" and what stands below it. */
const sectionsIn = (text: string, level: '##' | '###') =>
  text
    .split(new RegExp(`^${level} `, 'm'))
    .slice(1)
    .map(part => ({ heading: part.slice(0, part.indexOf('\n')), text: part.split(/^## /m)[0] ?? '' }))

const french = textOf('docs/HEBERGEMENT.md')
const symptoms = sectionsIn(
  `## ${french.split('## Quand quelque chose ne va pas')[1]}`.split(/^## En venant/m)[0] ?? '',
  '###',
)
const troubles = sectionsIn(textOf('docs/troubleshooting.md'), '##')

// The French guide's headings → those of the English one, in this order.
const HEADINGS = [
  ['Un service est arrêté', 'A service is down'],
  ['Une erreur de compilation', 'A compile error'],
  ['Un problème nginx', 'An nginx problem'],
  ['Une base de données à rétablir', 'A database to restore'],
  ['Une mauvaise version en production', 'A bad release in production'],
  ['Un déploiement interrompu', 'An interrupted deploy'],
  ['Le disque est plein', 'The disk is full'],
  ["Le certificat a expiré, ou vient d'être renouvelé", 'The certificate has expired, or was renewed'],
  ['La sauvegarde est trop ancienne, ou un essai a échoué', 'The last backup is too old, or a drill failed'],
  ['Autres messages', 'Other messages'],
] as const

void test('both guides have the same symptoms, in the same order', () => {
  assert.deepEqual(
    symptoms.map(({ heading }) => heading),
    HEADINGS.map(([heading]) => heading),
  )
  assert.deepEqual(
    troubles.map(({ heading }) => heading),
    HEADINGS.map(([, heading]) => heading),
  )
})

// What is to be typed or is printed: the same in both languages but for what stands for a word of the reader's.
const spansIn = (text: string) =>
  new Set(
    codeIn(text.split('**Mettre à jour')[0] ?? '')
      .map(span =>
        span
          .replaceAll('`', '')
          .replaceAll(/\s+#.*|<[^>]*>/g, '')
          .trim(),
      )
      .filter(Boolean),
  )

for (const [index, [heading, other]] of HEADINGS.entries())
  void test(`"${heading}" quotes the same commands and messages as "${other}"`, () =>
    assert.deepEqual(
      [...spansIn(symptoms[index]?.text ?? '')].toSorted(),
      [...spansIn(troubles[index]?.text ?? '')].toSorted(),
    ))

const COMMAND =
  /^(tsx|docker|cd|git|npm|node|ssh|rm|cp|mv|mkdir|chmod|chown|cat|df|free|ss|pgrep|findmnt|journalctl|systemctl|apt-get|kill|umask|age-keygen|sudo|echo|curl|mix|watch|create|alter|drop|select|grant)\b|\.(ts|sh)\b/

/** What other programs print. */
const FOREIGN = new Set(['permission denied to create extension'])

/** A message is known by four words in a row; what is shorter, between names and numbers, by all of them. */
const isPrinted = (message: string, source: string) =>
  message
    .replace(/^[✗✓]\s+\S+\s+/, '')
    .split(/…|\b[A-Z]{2,}\b|\d+/)
    .every(part => {
      const words = part.trim().split(/\s+/)
      if (words.length < 4) return source.includes(part.trim())
      return words.some((_, at) => at + 4 <= words.length && source.includes(words.slice(at, at + 4).join(' ')))
    })

const source = ['lib', 'scripts', 'nginx', 'postgres', 'docker-compose.yml']
  .flatMap(path => execFileSync('git', ['ls-files', path], { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean))
  .map(textOf)
  .join('\n')
  // A text that takes several lines.
  .replaceAll(/['"`] \+\n\s*['"`]/g, '')

for (const guide of guides.filter(it => it !== 'docs/measurements.md'))
  void test(`the messages that ${guide} quotes are still printed`, () => {
    const quoted = codeIn(textOf(guide).replaceAll(/```[^]*?```/g, ''))
      .map(span => span.replaceAll('`', ''))
      .filter(span => /^(?:\S+ )?[a-z]+(?: [a-z]|\b.* [a-z]+ [a-z]+)/.test(span))
    const messages = quoted.filter(
      span => !COMMAND.test(span) && span.split(/\s+/).length > 3 && !/[=<{]|--/.test(span),
    )
    assert.deepEqual(
      messages.filter(message => !FOREIGN.has(message) && !isPrinted(message, source)),
      [],
    )
  })
