import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareTables } from '../../lib/backup/backup_database.ts'
import { cronText } from '../../lib/backup/cron.ts'
import { tableOf } from '../../lib/backup/dump.ts'
import { Failure } from '../../lib/errors.ts'
import { prefixOf, setName } from '../../lib/backup/sets.ts'

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
    (error: unknown) => error instanceof Failure && error.exitCode === 65 && error.message.includes('public.a: 3 rows in the dump, 4 in') && error.message.includes('public.b: no rows'),
  )
})

void test('the name of a set is its prefix and the second in UTC', () => {
  const name = setName('before-import', new Date('2026-11-22T03:04:05.678Z'))
  assert.equal(name, 'before-import-20261122T030405Z')
  assert.equal(prefixOf(name), 'before-import')
})

void test('the cron entry runs at the time given, as root, with a % that cron does not cut at', () => {
  const text = cronText('02:05')
  assert.match(text, /^5 2 \* \* \* root '/m)
  assert.match(text, /^5 2 \* \* 0 root .* '--drill'/m)
  assert.doesNotMatch(text.replaceAll(String.raw`\%`, ''), /%/)
})
