import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Entry, trail } from '../../lib/deploy/history.ts'
import { releasesToRemove } from '../../lib/deploy/releases.ts'

const deployed = (from: string | null, to: string, more: Partial<Entry> = {}): Entry => ({
  time: '',
  who: '',
  repository: 'avril',
  service: 'phoenix',
  phases: {},
  revision: null,
  rollback: false,
  result: 'deployed',
  from,
  to,
  ...more,
})

void test('the trail is what was live, one after another', () => {
  assert.deepEqual(trail([deployed('first', 'a'), deployed('a', 'b')], 'phoenix'), ['first', 'a', 'b'])
})

void test('a failed deploy, and another app, leave no trace', () => {
  const history = [
    deployed(null, 'a'),
    deployed('a', 'b', { result: 'failed' }),
    deployed('x', 'y', { service: 'nuxt_profile' }),
    deployed('a', 'c'),
  ]
  assert.deepEqual(trail(history, 'phoenix'), ['a', 'c'])
})

void test('a rollback twice goes back twice, never forward to what was rolled back from', () => {
  const history = [deployed(null, 'a'), deployed('a', 'b'), deployed('b', 'c'), deployed('c', 'b', { rollback: true })]
  assert.equal(trail(history, 'phoenix').at(-2), 'a')
})

void test('the same release deployed again is one step', () =>
  assert.deepEqual(trail([deployed(null, 'a'), deployed('a', 'a')], 'phoenix'), ['a']))

const releases = ['a', 'b', 'c', 'd', 'e'].map((name, index) => ({ name, created: `2026-01-0${index + 1}` }))

void test('the newest that were live stay', () =>
  assert.deepEqual(releasesToRemove(releases, ['a', 'b', 'c', 'd', 'e'], ['e'], 3), ['b', 'a']))

void test('what runs, and what a rollback goes to, stay however old', () => {
  assert.deepEqual(releasesToRemove(releases, ['c', 'd', 'e', 'b'], ['a', 'b'], 1), ['d', 'c'])
})

void test('a release that never was live goes first', () =>
  assert.deepEqual(releasesToRemove(releases, ['a', 'b', 'c', 'd'], ['d'], 4), ['e']))
