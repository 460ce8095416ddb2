import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { listSets, setNamed } from '../../lib/backup/sets.ts'
import { readManifest } from '../../lib/backup/manifest.ts'

const folder = mkdtempSync(join(tmpdir(), 'sets-'))
after(() => rmSync(folder, { recursive: true }))

const digest = { bytes: 3, sha256: 'a'.repeat(64) }
const clear = {
  version: 1,
  name: 'avril-20261122T030000Z',
  made: '2026-11-22T03:00:00.000Z',
  host: 'server',
  who: 'anna',
  database: { name: 'avril', server: '18.6', extensions: {}, tables: { 'public.users': 3 } },
  releases: {},
  files: { 'database.dump': digest, 'roles.json': digest },
  objects: { count: 1, bytes: 3 },
  seconds: {},
}
const sealed = {
  ...clear,
  recipients: ['age1x'],
  files: Object.fromEntries([
    ...['database.dump.age', 'roles.json.age', 'objects.jsonl.age'].map(
      name => [name, { ...digest, plain: digest }] as const,
    ),
    ['objects.sha256', digest],
  ]),
}

const nonsense: Record<string, unknown> = {
  nothing: null,
  'a list': [clear],
  'another version': { ...clear, version: 2 },
  'a name that leads out': { ...clear, name: 'x/../../../home/anna' },
  'a name that is none of a set': { ...clear, name: 'avril' },
  'no time': { ...clear, made: undefined },
  'a time that is none': { ...clear, made: '2026-13-45T03:00:00Z' },
  'a time with words': { ...clear, made: '2026-11-22 (then)' },
  'no host': { ...clear, host: undefined },
  'no database': { ...clear, database: undefined },
  'no tables': { ...clear, database: { name: 'avril', server: '18.6' } },
  'a size of its data that is no number': { ...clear, database: { ...clear.database, bytes: '3' } },
  'rows that are no number': { ...clear, database: { ...clear.database, tables: { 'public.users': '3' } } },
  'no files': { ...clear, files: undefined },
  'none of the files': { ...clear, files: {} },
  'a dump alone': { ...clear, files: { 'database.dump': digest } },
  'a file that leads out': { ...clear, files: { ...clear.files, '../../../../etc/cron.d/x': digest } },
  'a file that no set has': { ...clear, files: { ...clear.files, 'manifest.json': digest } },
  'a file without a size': { ...clear, files: { ...clear.files, 'roles.json': { sha256: digest.sha256 } } },
  'a size below nothing': { ...clear, files: { ...clear.files, 'roles.json': { ...digest, bytes: -1 } } },
  'half a byte': { ...clear, files: { ...clear.files, 'roles.json': { ...digest, bytes: 1.5 } } },
  'a sha256 that leads out': {
    ...clear,
    files: { ...clear.files, 'roles.json': { ...digest, sha256: `../${'a'.repeat(61)}` } },
  },
  'a sha256 that is cut': { ...clear, files: { ...clear.files, 'roles.json': { ...digest, sha256: 'a'.repeat(63) } } },
  'a clear content without a sha256': {
    ...sealed,
    files: { ...sealed.files, 'roles.json.age': { ...digest, plain: { bytes: 3 } } },
  },
  'encrypted files without recipients': { ...sealed, recipients: undefined },
  'recipients of clear files': { ...clear, recipients: ['age1x'] },
  'no recipient': { ...sealed, recipients: [] },
  'uploaded files without their list': { ...sealed, files: { ...sealed.files, 'objects.sha256': undefined } },
  'uploaded files that are no number': { ...clear, objects: { count: 'many', bytes: 3 } },
  'nothing said of uploaded files': { ...clear, objects: undefined },
}

void test('a manifest is read as it was written, in the clear, encrypted, and of the database alone', () => {
  const older = (of: typeof clear | typeof sealed) => ({
    ...of,
    files: Object.fromEntries(
      Object.entries(of.files).map(([name, file]) => [name.replace('roles.json', 'globals.sql'), file]),
    ),
  })
  for (const manifest of [clear, sealed, { ...clear, objects: null }, older(clear), older(sealed)])
    assert.deepEqual(readManifest(JSON.stringify(manifest, null, 2)).value, manifest)
})

for (const [what, manifest] of Object.entries(nonsense))
  void test(`no manifest: ${what}`, () => assert.equal(readManifest(JSON.stringify(manifest)).value, undefined))

// what is wrong with a manifest → how that is said
for (const [text, said] of [
  ['', 'it is empty'],
  ['{', 'it is not JSON'],
  ['5', 'it should be Object'],
  ['[]', 'version is missing'],
  [{ ...clear, made: undefined }, 'made is missing'],
  [{ ...clear, made: 'then' }, 'made is not a time'],
  [{ ...clear, database: { ...clear.database, server: 18 } }, 'database.server should be string'],
  [{ ...clear, files: { 'database.dump': { ...digest, bytes: -1 } } }, 'files.database.dump.bytes is below 0'],
  [{ ...clear, files: { 'database.dump': digest } }, 'it has no dump or no roles'],
] as const)
  void test(`a damaged manifest is told by its field: ${said}`, () =>
    assert.equal(readManifest(typeof text === 'string' ? text : JSON.stringify(text)).damage, said))

void test('a set whose manifest has no time counts for nothing, and does not stand in the way of the others', () => {
  for (const [name, manifest] of [
    ['avril-20261121T030000Z', clear],
    ['avril-20261122T030000Z', { ...clear, made: undefined }],
  ] as const) {
    mkdirSync(join(folder, name))
    for (const file of Object.keys(clear.files)) writeFileSync(join(folder, name, file), 'abc')
    writeFileSync(join(folder, name, 'manifest.json'), JSON.stringify(manifest))
  }
  const { sets, broken } = listSets(folder)
  assert.deepEqual(
    [sets.map(({ name }) => name), broken],
    [
      ['avril-20261121T030000Z'],
      [{ name: 'avril-20261122T030000Z', damage: 'manifest.json is damaged (made is missing)' }],
    ],
  )
})

void test('a set is found by its name or the beginning of it, and never guessed', () => {
  const sets = ['avril-20261122T030000Z', 'avril-20261121T030000Z', 'kept-20261121T030000Z', 'kept'].map(name => ({
    name,
  }))
  for (const word of ['avril-20261122T030000Z', 'avril-20261122']) assert.equal(setNamed(sets, word), sets[0])
  assert.equal(setNamed(sets, 'kept'), sets[3])
  assert.throws(() => setNamed(sets, 'avril'), {
    exitCode: 64,
    message: 'avril could be avril-20261122T030000Z, avril-20261121T030000Z',
  })
  for (const word of ['', 'AVRIL', '20261122T030000Z']) assert.equal(setNamed(sets, word), undefined)
})
