// What the guides tell people to type: each script is there, and knows each option that stands behind its name.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'

const scripts = readdirSync(join(root, 'scripts')).map(file => file.replace(/\.ts$/, ''))

// One process prints the help of all of them.
const print = `for (const name of ${JSON.stringify(scripts)}) { console.log('\\f' + name); await import(${JSON.stringify(join(root, 'scripts/'))} + name + '.ts') }`
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

void test('README is short, and names the tsx of the lock file', () => {
  const { packages } = JSON.parse(textOf('package-lock.json')) as { packages: Record<string, { version: string }> }
  const words = textOf('README.md').split(/\s+/).length
  assert.ok(words < 1100, `${words} words`)
  assert.ok(textOf('README.md').includes(`tsx@${packages['node_modules/tsx']?.version} `))
})

void test('the newest release of CHANGELOG.md is the version of package.json, and each has its day', () => {
  const heads = [...textOf('CHANGELOG.md').matchAll(/^## (.*)$/gm)].map(([, head = '']) => head)
  const releases = heads.map(head => /^\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$/.exec(head))
  assert.ok(releases.every(Boolean), heads.join())
  const { version } = JSON.parse(textOf('package.json')) as { version: string }
  assert.equal(releases[0]?.[1], version)
  const days = releases.map(release => release?.[2] ?? '')
  assert.deepEqual(days, days.toSorted().toReversed())
})
