import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { compareTables } from '../../lib/backup/dump_database.ts'
import { cronText } from '../../lib/setup/cron.ts'
import { tableOf } from '../../lib/postgres/dump_archive.ts'
import { Failure } from '../../lib/system/errors.ts'
import { prefixOf, setName } from '../../lib/backup/manifest.ts'
import { root } from '../../lib/system/checkout.ts'

void test('the table is read out of the line that begins its data, however it is named', () => {
  assert.equal(tableOf('COPY public.users (id, name) FROM stdin;'), 'public.users')
  assert.equal(tableOf('COPY public.nothing  FROM stdin;'), 'public.nothing')
  assert.equal(tableOf('COPY "Odd schema"."a (""table""" ("a ( b", c) FROM stdin;'), '"Odd schema"."a (""table"""')
  assert.equal(tableOf('COPY nonsense'), undefined)
})

void test('a table that lacks rows, or is missing, is named with both numbers', () => {
  const dump = { tables: { 'public.a': 3, 'public.ext': 9 } } as unknown as Parameters<typeof compareTables>[1]
  compareTables({ 'public.a': 3 }, dump)
  assert.throws(
    () => compareTables({ 'public.a': 4, 'public.b': 1 }, dump),
    (error: unknown) =>
      error instanceof Failure &&
      error.exitCode === 65 &&
      error.message.includes('public.a: 3 rows in the dump, 4 in') &&
      error.message.includes('public.b: no rows'),
  )
})

void test('the name of a set is its prefix and the second in UTC', () => {
  const name = setName('before-import', new Date('2026-11-22T03:04:05.678Z'))
  assert.equal(name, 'before-import-20261122T030405Z')
  assert.equal(prefixOf(name), 'before-import')
})

void test('the cron entry runs at the time given, as root, with a % that cron does not cut at', () => {
  const text = cronText('02:05')
  assert.match(text, /^5 2 \* \* 1-6 root cd '/m)
  assert.match(text, /^5 2 \* \* 0 root cd .* --drill /m)
  assert.doesNotMatch(text.replaceAll(String.raw`\%`, ''), /%/)
})

/** The commands that cron starts on a day, 0 for Sunday. */
const commandsOn = (day: number) =>
  cronText('02:05')
    .split('\n')
    .flatMap(line => {
      const [, from, to, command = ''] = /^5 2 \* \* (?:\*|(\d)(?:-(\d))?) root (.*)$/.exec(line) ?? []
      const isThen = from === undefined || (Number(from) <= day && day <= Number(to ?? from))
      return command !== '' && isThen ? [command] : []
    })

for (const [what, fails, ran, status] of [
  ['both succeed', '', 'backup drill', 0],
  ['the backup fails', 'backup', 'backup drill', 1],
  ['the drill fails', 'drill', 'backup drill', 1],
] as const) {
  void test(`on Sundays the drill begins when the backup has ended: ${what}`, t => {
    const folder = mkdtempSync(join(tmpdir(), 'cron '))
    t.after(() => rmSync(folder, { recursive: true }))
    mkdirSync(join(folder, '.state'))
    const node = join(folder, 'node')
    writeFileSync(
      node,
      `#!/bin/sh
case "$*" in *--drill*) it=drill;; *) it=backup;; esac
echo "$it begins" >>ran; sleep 0.1; echo "$it ends" >>ran; echo "output of $it"; [ "$it" != '${fails}' ]\n`,
      { mode: 0o755 },
    )
    const commands = commandsOn(0)
    assert.equal(commands.length, 1)
    assert.ok((commands[0] ?? '').length < 1000)
    const command = (commands[0] ?? '')
      .replace(`'${process.execPath}'`, `'${node}'`)
      .replace(`'${root}'`, `'${folder}'`)
    const { status: ended, stdout } = spawnSync('/bin/sh', ['-c', command], { encoding: 'utf8' })
    assert.equal(
      readFileSync(join(folder, 'ran'), 'utf8'),
      ran
        .split(' ')
        .map(it => `${it} begins\n${it} ends\n`)
        .join(''),
    )
    assert.deepEqual([ended, stdout], [status, fails && `output of ${fails}\n`])
  })
}

void test('each other day has one backup and no drill', () => {
  for (const day of [1, 2, 3, 4, 5, 6])
    assert.deepEqual(
      commandsOn(day).map(it => it.includes('--drill')),
      [false],
    )
})
