import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { scriptOf } from '../../lib/postgres/saved_roles.ts'
import { listSets } from '../../lib/backup/sets.ts'
import { openPlain, plainSize, readPlainIfThere, replaceFile } from '../../lib/system/files.ts'
import { copyPlain } from '../../lib/system/large_files.ts'

const folder = mkdtempSync(join(tmpdir(), 'plain-'))
after(() => rmSync(folder, { recursive: true }))
const path = (name: string) => join(folder, name)

// What somebody else can put where a file is looked for.
const PLANTED: Record<string, (file: string) => void> = {
  'a link to a file': file => symlinkSync(path('secret'), file),
  'a link to a folder': file => symlinkSync(folder, file),
  'a link to nowhere': file => symlinkSync(path('nowhere'), file),
  'a link to itself': file => symlinkSync(file, file),
  'a folder': file => mkdirSync(file),
  'a pipe': file => execFileSync('mkfifo', [file]),
  'a device': file => symlinkSync('/dev/zero', file),
}

writeFileSync(path('secret'), 'secret')

for (const [what, plant] of Object.entries(PLANTED))
  void test(`not read, and not waited for: ${what}`, async () => {
    const file = path(`planted ${what}`)
    plant(file)
    for (const read of [openPlain, readPlainIfThere])
      assert.throws(() => read(file), { exitCode: 65, message: /is not a plain file/ })
    await assert.rejects(copyPlain(file, path(`copy of ${what}`)), { exitCode: 65 })
    assert.equal(plainSize(file), undefined)
    const set = join(path(`sets with ${what}`), 'avril-20261122T030000Z')
    mkdirSync(set, { recursive: true })
    plant(join(set, 'manifest.json'))
    assert.deepEqual(listSets(join(set, '..')), {
      sets: [],
      broken: [
        {
          name: 'avril-20261122T030000Z',
          damage: `${join(set, 'manifest.json')} is not a plain file: it is a link, a folder or a pipe`,
        },
      ],
    })
  })

void test('a plain file is read, and one that is missing is no error', () => {
  assert.equal(readPlainIfThere(path('secret')), 'secret')
  assert.equal(plainSize(path('secret')), 6)
  assert.equal(readPlainIfThere(path('missing')), undefined)
})

void test('a file is replaced, whatever was put in its place or beside it, and what a link leads to stays', () => {
  for (const name of ['state', '.state.partial']) symlinkSync(path('secret'), path(name))
  replaceFile(path('state'), 'new')
  assert.deepEqual([readFileSync(path('state'), 'utf8'), readFileSync(path('secret'), 'utf8')], ['new', 'secret'])
  assert.deepEqual(
    readdirSync(folder).filter(name => name.endsWith('.partial')),
    ['.state.partial'],
  )
})

// Texts of a roles file; what psql reads of them must be the same but for letters, digits, + / and =.
for (const text of [
  '',
  "'",
  "');\n\\! id\n",
  '\\! id',
  ':user',
  '$$',
  '\\.\n',
  '\u0000',
  '\u2028\r\n\\i /etc/passwd',
  'é'.repeat(100_000),
])
  void test(`data for psql: ${JSON.stringify(text.slice(0, 30))}`, () => {
    for (const name of ['roles.json', 'latest-globals.sql']) {
      writeFileSync(path(name), text)
      const [first = ''] = scriptOf(path(name)).split('\n')
      assert.match(
        first,
        /^create temp table given as select convert_from\(decode\('[A-Za-z0-9+/]*=*', 'base64'\), 'UTF8'\) as text;$/,
      )
      assert.equal(Buffer.from(/decode\('([^']*)'/.exec(first)?.[1] ?? '', 'base64').toString(), text)
    }
  })
