import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOverdue, retain, type Rules } from '../../lib/backup/retention.ts'

const NOW = new Date('2026-11-22T12:00:00Z')
const DAY = 86_400_000

// Sets that are so many days old, named by their age.
const aged = (...days: number[]) =>
  days.map(age => ({ name: String(age), made: new Date(NOW.getTime() - age * DAY).toISOString() }))
const kept = (sets: ReturnType<typeof aged>, rules: Rules = { days: 7, weeks: 0, months: 0 }) =>
  retain(sets, rules, NOW)
    .filter(({ keep }) => keep)
    .map(({ name }) => Number(name))

void test('all sets of the last days are kept, older ones are not', () => {
  assert.deepEqual(kept(aged(0, 1, 2, 3, 4, 5, 6, 7, 8)), [0, 1, 2, 3, 4, 5, 6])
})

void test('the last three are kept whatever their age', () => {
  assert.deepEqual(kept(aged(100, 200, 300, 400)), [100, 200, 300])
})

void test('the newest of each of the last weeks, from Monday on', () => {
  // 2026-11-22 is a Sunday: its week began 6 days before.
  assert.deepEqual(kept(aged(0, 1, 2, 6, 7, 8, 13, 14, 20, 21), { days: 1, weeks: 3, months: 0 }), [0, 1, 2, 7, 14])
})

void test('the newest of each of the last months', () => {
  assert.deepEqual(kept(aged(0, 1, 2, 22, 23, 53, 54, 90), { days: 1, weeks: 0, months: 3 }), [0, 1, 2, 22, 53])
})

void test('the order in which they are given does not matter, and each says why it stays', () => {
  const plan = retain(aged(9, 0, 40, 1, 2), { days: 7, weeks: 0, months: 0 }, NOW)
  assert.deepEqual(
    plan.map(({ name, keep }) => [name, keep]),
    [
      ['0', true],
      ['1', true],
      ['2', true],
      ['9', false],
      ['40', false],
    ],
  )
  assert.equal(plan[0]?.reason, 'one of the last 3')
  assert.equal(plan[4]?.reason, 'older than what is kept')
})

void test('nothing is kept beyond the hard maximum but the last three, whatever keeps it otherwise', () => {
  const sets = aged(0, 1, 2, 22, 29, 30, 53, 90)
  assert.deepEqual(kept(sets, { days: 60, weeks: 9, months: 9, maxDays: 30 }), [0, 1, 2, 22, 29])
  assert.deepEqual(kept(sets, { days: 60, weeks: 9, months: 9 }), [0, 1, 2, 22, 29, 30, 53, 90])
  assert.deepEqual(kept(sets, { days: 7, weeks: 0, months: 0, maxDays: 2 }), [0, 1, 2])
  assert.deepEqual(kept(aged(100, 200, 300, 400), { days: 7, weeks: 0, months: 0, maxDays: 30 }), [100, 200, 300])
})

void test('one of the last three that is older than the maximum says so, and so does one that goes for it', () => {
  const plan = retain(aged(1, 20, 30, 31), { days: 7, weeks: 0, months: 3, maxDays: 30 }, NOW)
  assert.deepEqual(
    plan.map(({ reason }) => reason),
    [
      'one of the last 3',
      'one of the last 3',
      'one of the last 3, though older than BACKUP_MAX_DAYS (30)',
      'older than BACKUP_MAX_DAYS (30)',
    ],
  )
  assert.deepEqual(
    aged(1, 30).map(({ made }) => isOverdue(made, { maxDays: 30 }, NOW)),
    [false, true],
  )
  assert.equal(isOverdue('2000-01-01T00:00:00Z', {}, NOW), false)
})
