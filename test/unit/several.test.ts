import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { several } from '../../lib/several.ts'

void test('results keep the order of the items, and only some are under way at once', async () => {
  let now = 0
  let most = 0
  const results = await several([5, 1, 4, 2, 3, 0, 6], async item => {
    most = Math.max(most, (now += 1))
    await pause(item)
    now -= 1
    return item * 10
  })
  assert.deepEqual(results, [50, 10, 40, 20, 30, 0, 60])
  assert.equal(most, 4)
})

void test('after a failure nothing more is begun, and what was begun has ended', async () => {
  const begun: number[] = []
  const ended: number[] = []
  const work = several([1, 2, 3, 4, 5, 6], async item => {
    begun.push(item)
    if (item === 2) throw new Error('the second')
    await pause(10)
    ended.push(item)
  })
  await assert.rejects(work, /the second/)
  assert.deepEqual(begun, [1, 2, 3, 4])
  assert.deepEqual(ended, [1, 3, 4])
})
