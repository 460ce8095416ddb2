import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { alongside, mapConcurrent, rendezvous, together } from '../../lib/system/concurrency.ts'
import { sleep } from '../../lib/system/signals.ts'

void test('results keep the order of the items, and only some are under way at once', async () => {
  let now = 0
  let most = 0
  const results = await mapConcurrent([5, 1, 4, 2, 3, 0, 6], async item => {
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
  const work = mapConcurrent([1, 2, 3, 4, 5, 6], async item => {
    begun.push(item)
    if (item === 2) throw new Error('the second')
    await pause(10)
    ended.push(item)
  })
  await assert.rejects(work, /the second/)
  assert.deepEqual(begun, [1, 2, 3, 4])
  assert.deepEqual(ended, [1, 3, 4])
})

void test('things that are done together give their results in their order', async () => {
  assert.deepEqual(await together(() => [pause(5, 'slow'), Promise.resolve(2)]), ['slow', 2])
})

void test('what goes on alongside must go well, and gives nothing', async () => {
  assert.equal(
    await alongside(
      () => pause(5, 'it'),
      () => Promise.resolve('not it'),
    ),
    'it',
  )
  const check = () => Promise.reject(new Error('a check'))
  await assert.rejects(
    alongside(signal => sleep(60_000, signal), check),
    /a check/,
  )
})

// how they end: the works, whether what they all heed is aborted meanwhile, what is thrown
const ENDS: [how: string, works: (signal: AbortSignal) => Promise<unknown>[], over: boolean, thrown: RegExp][] = [
  ['one fails at once', signal => [Promise.reject(new Error('the first')), sleep(60_000, signal)], false, /the first/],
  [
    'two fail',
    signal => [
      sleep(60_000, signal).then(() => Promise.reject(new Error('the second'))),
      Promise.reject(new Error('the first')),
    ],
    false,
    /the first/,
  ],
  ['their caller needs them no more', signal => [sleep(60_000, signal), sleep(60_000, signal)], true, /no more/],
]

for (const [how, works, over, thrown] of ENDS)
  void test(
    `things that are done together have all ended when it is thrown that ${how}`,
    { timeout: 10_000 },
    async () => {
      const caller = new AbortController()
      let ended = 0
      const done = together(signal => works(signal).map(work => work.finally(() => (ended += 1))), caller.signal)
      if (over) caller.abort(new Error('no more'))
      await assert.rejects(done, thrown)
      assert.equal(ended, 2)
    },
  )

void test('a rendezvous ends for all when the last has come, and for who comes again at once', async () => {
  const come = rendezvous(3)
  const { signal } = new AbortController()
  let ended = 0
  const first = [come(signal), come(signal)].map(wait => wait.then(() => (ended += 1)))
  await new Promise(setImmediate)
  assert.equal(ended, 0)
  await come(signal)
  await Promise.all(first)
  await come(signal)
})

void test('who waits there is told when another has failed', async () => {
  const over = new AbortController()
  const waiting = rendezvous(2)(over.signal)
  over.abort(new Error('the other one failed'))
  await assert.rejects(waiting, /the other one failed/)
  await assert.rejects(rendezvous(1)(over.signal), /the other one failed/)
})
