// The figures of the code's structure: npx tsx test/house.ts [another checkout]. Tests are not counted. It ends with 1
// when something leads upwards or in a circle, when two things have one name, when a long module does not say why, or
// when a line is too long.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

const root = process.argv[2] ?? join(import.meta.dirname, '..')
const files = execFileSync('git', ['-C', root, 'ls-files', 'lib', 'scripts'], { encoding: 'utf8' })
  .split('\n')
  .filter(file => file.endsWith('.ts'))
const texts = new Map(files.map(file => [file, readFileSync(join(root, file), 'utf8')]))
const lines = [...texts.values()].flatMap(text => text.trimEnd().split('\n'))

const IMPORT = /(?:from|import) ?\(?'(\.[^']*)'/g
const imports = new Map(
  [...texts].map(([file, text]) => [
    file,
    [...text.matchAll(IMPORT)].map(([, path = '']) => normalize(join(dirname(file), path))),
  ]),
)

/** Those that lead back to themselves, in groups: Tarjan would be quicker, and nobody waits. */
const circlesIn = (graph: Map<string, Iterable<string>>) => {
  const reach = (from: string) => {
    const seen = new Set<string>()
    const open = [...(graph.get(from) ?? [])]
    for (let it = open.pop(); it !== undefined; it = open.pop())
      if (!seen.has(it)) {
        seen.add(it)
        open.push(...(graph.get(it) ?? []))
      }
    return seen
  }
  const reached = new Map([...graph.keys()].map(it => [it, reach(it)]))
  const groups = [...graph.keys()].map(it =>
    [...(reached.get(it) ?? [])].filter(other => reached.get(other)?.has(it)).toSorted(),
  )
  return [...new Set(groups.filter(group => group.length > 0).map(group => group.join(', ')))]
}

// A folder of lib is a room, with what lies in it: an import from one to another is an arrow.
const roomOf = (file: string) => file.split('/').slice(0, 2).join('/')
const rooms = new Map<string, Set<string>>()
for (const [file, targets] of imports)
  if (file.startsWith('lib/')) {
    const others = targets.map(roomOf).filter(room => room !== roomOf(file))
    rooms.set(roomOf(file), new Set([...(rooms.get(roomOf(file)) ?? []), ...others]))
  }
const circlesOfRooms = circlesIn(rooms)
const floorOf = (room: string): number => 1 + Math.max(0, ...[...(rooms.get(room) ?? [])].map(floorOf))

// What a folder may not import is said once: to the linter (.oxlintrc.json).
interface Rules {
  overrides: { files: string[]; rules: { 'no-restricted-imports'?: [string, { patterns: { regex: string }[] }] } }[]
}
const rules: Rules = JSON.parse(readFileSync(join(import.meta.dirname, '..', '.oxlintrc.json'), 'utf8'))
const forbidden = new Map(
  rules.overrides.flatMap(({ files, rules: { 'no-restricted-imports': restricted } }) =>
    restricted
      ? files.map(file => [file.replace('/**', ''), new RegExp(restricted[1].patterns[0]!.regex)] as const)
      : [],
  ),
)
const upwards = [...imports].flatMap(([file, targets]) =>
  targets
    .map(target => relative(dirname(file), target))
    .filter(target => forbidden.get(roomOf(file))?.test(target))
    .map(target => `${file} → ${target}`),
)

const EXPORT = /^export (?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm
const homes = new Map<string, Set<string>>()
for (const [file, text] of texts)
  for (const [, name = ''] of text.matchAll(EXPORT)) homes.set(name, new Set([...(homes.get(name) ?? []), file]))
const doubles = [...homes].flatMap(([name, files]) => (files.size > 1 ? [`${name} (${[...files].join(', ')})`] : []))

const circlesOfModules = circlesIn(imports)

// Some lines more than the aim of 150, which the wrapping may cost.
const LONG = 165
const headOf = (text: string) => /^(?:\/\/.*\n)*/.exec(text)?.[0] ?? ''
const unexplained = [...texts].flatMap(([file, text]) =>
  text.split('\n').length - 1 > LONG && !headOf(text).includes('Long, since') ? [file] : [],
)

// The formatter breaks neither comments nor texts, and reads no shell and no prose.
const WIDTH = 120
// What cannot be broken, or reads worse when it is: a test's name, a pattern, a text in quotes, a table, an address.
const MAY_BE_LONG: Record<string, RegExp> = {
  ts: /^\s*(?:void )?test\(|^\s*(?:return )?\/[^/*\s]|String\.raw`/,
  sh: /^@test |^\s*[^#\s].*(?:'[^']{60,}|"[^"]{60,})/,
  md: /^\s*(?:\||#)|^ {4}|^\s*\S+$/,
}
// In the shell files: SQL and programs of other languages, and lists. Fewer is better, and then this is the number to
// lower.
const LONG_IN_SHELL = 127
const withoutCode = (text: string) => text.replaceAll(/^ *```[^]*?^ *```/gm, block => block.replaceAll(/.+/g, ''))
const longLinesOf = (kind: string, ...globs: string[]) =>
  execFileSync('git', ['-C', root, 'ls-files', ...globs, ':!test/fixtures'], { encoding: 'utf8' })
    .split('\n')
    .filter(file => file !== '' && existsSync(join(root, file)))
    .flatMap(file => {
      const text = readFileSync(join(root, file), 'utf8')
      return (kind === 'md' ? withoutCode(text) : text)
        .split('\n')
        .flatMap((line, at) => (line.length > WIDTH && !MAY_BE_LONG[kind]!.test(line) ? [`${file}:${at + 1}`] : []))
    })
const longInShell = longLinesOf('sh', '*.sh', '*.bash', '*.bats')
const tooLong = [
  ...longLinesOf('ts', '*.ts'),
  ...longLinesOf('md', '*.md'),
  ...(longInShell.length > LONG_IN_SHELL ? longInShell : []),
]

const figures = {
  modules: files.length,
  lines: lines.length,
  'lines over 120 characters': lines.filter(line => line.length > WIDTH).length,
  'long lines that could be wrapped, in all files': tooLong.join(', ') || 0,
  'long lines of shell files': `${longInShell.length}, of at most ${LONG_IN_SHELL}`,
  'rooms (folders and files directly in lib)': rooms.size,
  'arrows between rooms': [...rooms.values()].reduce((sum, others) => sum + others.size, 0),
  // On a circle there is no up and down.
  floors: circlesOfRooms.length === 0 ? Math.max(...[...rooms.keys()].map(floorOf)) : 'none, for there are circles',
  'circles of rooms': circlesOfRooms.join('; ') || 0,
  'circles of modules': circlesOfModules.length,
  'imports upwards': upwards.join('; ') || 0,
  'exported names that occur twice': doubles.join('; ') || 0,
  'long modules that do not say why': unexplained.join(', ') || 0,
  'modules of lib that write to the terminal': [...texts].filter(
    ([file, text]) => file.startsWith('lib/') && /process\.std(out|err)\.write\(/.test(text),
  ).length,
  "defaults that never hold (?? '')": lines.filter(line => line.includes("?? ''")).length,
  'words of README.md': readFileSync(join(root, 'README.md'), 'utf8').split(/\s+/).length,
}
for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name.padEnd(48)}${value}\n`)
if ([circlesOfRooms, circlesOfModules, upwards, doubles, unexplained, tooLong].some(found => found.length > 0))
  process.exitCode = 1
