// What leaves the registry of a Swarm: run as in its container, on a folder that is laid out as its own.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { test } from 'node:test'
import { PRUNE } from '../../lib/deploy/prune_nodes.ts'

const hash = (letter: string) => letter.repeat(64)

const write = (file: string, text: string) => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** tag → the manifest that it has; manifest → those that it lists */
type Held = [tags: Record<string, string>, manifests: Record<string, string[]>]

const prune = ([tags, manifests]: Held, kept: string[]) => {
  const folder = mkdtempSync(join(tmpdir(), 'avril-registry-'))
  const root = join(folder, 'docker', 'registry', 'v2')
  const own = join(root, 'repositories', 'avril-phoenix', '_manifests')
  for (const [name, listed] of Object.entries(manifests)) {
    write(join(own, 'revisions', 'sha256', hash(name), 'link'), `sha256:${hash(name)}`)
    const data = JSON.stringify({ manifests: listed.map(it => ({ digest: `sha256:${hash(it)}` })) })
    write(join(root, 'blobs', 'sha256', hash(name).slice(0, 2), hash(name), 'data'), data)
  }
  for (const [tag, name] of Object.entries(tags))
    write(join(own, 'tags', tag, 'current', 'link'), `sha256:${hash(name)}`)
  const collected = join(folder, 'collected')
  write(join(folder, 'bin', 'registry'), `#!/bin/sh\ntouch '${collected}'\n`)
  chmodSync(join(folder, 'bin', 'registry'), 0o755)
  const script = PRUNE.replace('/var/lib/registry', folder)
  const env = { PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter) }
  try {
    const said = execFileSync('sh', ['-c', script, 'sh', 'avril-phoenix', ...kept], { env, encoding: 'utf8' })
    const left = readdirSync(join(own, 'tags')).toSorted().join(' ')
    const manifestsLeft = [...said.matchAll(/^sha256:(.)/gm)].map(([, name = '']) => name).join('')
    return { left, manifests: manifestsLeft, collected: existsSync(collected) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const three: Held = [
  { one: 'a', two: 'b', three: 'c' },
  { a: [], b: [], c: [] },
]

const table: [string, Held, kept: string[], left: string, manifests: string, collected: boolean][] = [
  ['the oldest goes', three, ['two', 'three'], 'three two', 'bc', true],
  ['all are kept: nothing is looked through', three, ['one', 'two', 'three', 'four'], 'one three two', 'abc', false],
  ['a name that begins as a kept one does is not that', three, ['on', 'three'], 'three', 'c', true],
  ['two names of one content: it stays with the other', [{ one: 'a', two: 'a' }, { a: [] }], ['two'], 'two', 'a', true],
  [
    'what a kept list names stays',
    [
      { one: 'a', two: 'b' },
      { a: ['c'], b: ['d'], c: [], d: [] },
    ],
    ['two'],
    'two',
    'bd',
    true,
  ],
  ['what was killed on its way in goes', [{ one: 'a' }, { a: [], b: [] }], ['one'], 'one', 'a', true],
]
for (const [what, held, kept, ...expected] of table)
  void test(`the registry: ${what}`, () => {
    const { left, manifests, collected } = prune(held, kept)
    assert.deepEqual([left, manifests, collected], expected)
  })
