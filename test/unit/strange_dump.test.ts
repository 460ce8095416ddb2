import type { Manifest } from '../../lib/backup/manifest.ts'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isKnown } from '../../lib/restore/strange_dump.ts'
import { restoreProposal } from '../../lib/cli/restore_report.ts'

const folder = mkdtempSync(join(tmpdir(), 'strange '))
after(() => rmSync(folder, { recursive: true }))

const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex')
const manifestOf = (name: string, dump: string) =>
  ({
    version: 1,
    name,
    made: '2026-11-22T03:00:00.000Z',
    host: 'server',
    who: 'anna',
    database: { name: 'avril', server: '18.6', extensions: {}, tables: {} },
    releases: {},
    files: {
      'database.dump': { bytes: dump.length, sha256: sha256Of(dump) },
      'roles.json': { bytes: 0, sha256: sha256Of('') },
    },
    objects: null,
    seconds: {},
  }) satisfies Manifest

const makeSet = (where: string, name: string, dump: string) => {
  const set = join(where, name)
  mkdirSync(set, { recursive: true })
  writeFileSync(join(set, 'database.dump'), dump)
  writeFileSync(join(set, 'roles.json'), '')
  writeFileSync(join(set, 'manifest.json'), JSON.stringify(manifestOf(name, dump)))
  return join(set, 'database.dump')
}

const sets = join(folder, 'sets')
const own = makeSet(sets, 'avril-20261122T030000Z', 'ours')
const copy = join(folder, 'copy.dump')
writeFileSync(copy, 'ours')
// Whoever makes a dump can make a manifest, too.
const forged = makeSet(join(folder, 'elsewhere'), 'avril-20261122T030000Z', 'theirs')

for (const [what, path, where, vouched, known] of [
  ['in a set of BACKUP_DIR', own, sets, undefined, true],
  ['a copy of that', copy, sets, undefined, true],
  ['in a set elsewhere', forged, sets, undefined, false],
  ['downloaded from a server of ours', forged, sets, manifestOf('avril-20261122T030000Z', 'theirs'), true],
  ['not what was downloaded', copy, join(folder, 'none'), manifestOf('avril-20261122T030000Z', 'theirs'), false],
  ['the disk of the sets is no folder any more', copy, own, undefined, false],
  ['in directory format', sets, sets, undefined, false],
] as const)
  void test(`is a dump known: ${what}`, async () =>
    assert.equal(await isKnown({ sha256: undefined }, path, where, vouched), known))

const plan = {
  source: '/tmp/x.dump',
  origin: undefined,
  dump: { database: 'avril', made: '', server: '18.6', tables: {}, bytes: 0 },
  host: 'server',
  database: 'avril',
  replaces: true,
  former: undefined,
  now: undefined,
  after: {},
  searchPath: '',
  runs: undefined as string[] | undefined,
  restarts: [],
}
const none = { before: [], after: [] }

void test('what runs in a dump is told to its twentieth item, and how many more there are', () => {
  assert.doesNotMatch(restoreProposal(plan, none).text, /runs|warning/)
  assert.match(
    restoreProposal({ ...plan, runs: [] }, none).text,
    /is of no backup set of this server.*\n.*\nruns {8}nothing/,
  )
  const runs = Array.from({ length: 25 }, (_, n) => `item ${n} ${'x'.repeat(n === 0 ? 10_000 : 0)}`)
  const { text } = restoreProposal({ ...plan, runs }, none)
  assert.match(text, /item 19 \n *… and 5 more: --dry-run --json lists all/)
  assert.ok(text.length < 2000)
})
