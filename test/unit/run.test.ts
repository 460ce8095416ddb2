import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attempt } from '../../lib/run.ts'

void test('a program that ends before it has read its input is no error of this one', async () => {
  assert.equal((await attempt(['true'], { input: 'x'.repeat(2e6) })).code, 0)
})

void test('what gives too much is ended, wherever it writes', async () => {
  for (const command of ['yes', 'yes >&2']) {
    const { code, stdout, stderr } = await attempt(['sh', '-c', command], { most: 1e6 })
    assert.equal(code, 143)
    assert.ok(stdout.length + stderr.length < 1e7)
  }
})

void test('what is ended has failed, though it says 0 as docker exec does', async () => {
  const { code } = await attempt(['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'], { signal: AbortSignal.timeout(300) })
  assert.equal(code, 143)
})
