import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { keepHandingOver, whyOf } from '../../lib/deploy/handover.ts'

void test('what comes during a long drain is handed over at once, again and again, and when it has ended', async () => {
  const calls: number[] = []
  const start = Date.now()
  const drained = wait(250)
  await keepHandingOver(() => Promise.resolve(calls.push(Date.now() - start) > 0), drained, 100)
  assert.ok((calls[0] ?? Infinity) < 50, 'the first not at once')
  assert.ok(calls.length >= 3 && calls.length <= 5, `${calls.length} times`)
  assert.ok((calls.at(-1) ?? 0) >= 245, 'the last not after the drain')
})

void test('what comes while the last one of the drain is under way is handed over too', async () => {
  let calls = 0
  await keepHandingOver(() => wait(50, ++calls > 0), wait(10))
  assert.equal(calls, 2)
})

void test('a failure ends it, and a drain that fails neither hangs it nor is its own error', async () => {
  let calls = 0
  await keepHandingOver(() => Promise.resolve(++calls < 0), wait(10))
  assert.equal(calls, 1)
  const failed = Promise.reject<void>(new Error('nginx did not let go'))
  await keepHandingOver(() => Promise.resolve(true), failed)
  await assert.rejects(failed)
})

void test('why it failed is a line that says something, whatever the command printed', () => {
  const why = (code: number, stderr: string, stdout = '') => whyOf({ code, stdout, stderr })
  assert.equal(why(1, ''), 'it ended with 1')
  assert.equal(why(1, '', 'first\nno such file\n'), 'no such file')
  assert.equal(
    why(
      127,
      'escript: exception error: bad argument\n  in function  binary_to_term/1\n  in call from init:start_em/1\n',
    ),
    'escript: exception error: bad argument',
  )
  assert.match(why(143, 'half a line'), /^it did not end within 30 s/)
})
