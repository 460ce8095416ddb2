import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configOf } from '../../lib/docker/stack_config.ts'

// An answer of Compose, and what is said of it.
const ANSWERS: [stdout: string, said: RegExp][] = [
  ['', /docker compose config answered cannot be understood: it is empty/],
  ['{"name":"avril"', /it is not JSON/],
  ['{"name":"avril"}', /services is missing/],
  ['{"name":"avril","services":{"nginx":{"image":7}}}', /services\.nginx\.image should be string/],
]

for (const [stdout, said] of ANSWERS)
  void test(`Compose answers ${JSON.stringify(stdout)}`, () =>
    assert.throws(() => configOf({ code: 0, stdout, stderr: '' }), { exitCode: 1, message: said }))

void test('what the code does not know of an answer stays, in its order: fingerprints are made of it', () => {
  const stdout = '{"x-more":1,"services":{"nginx":{"tty":true,"image":"nginx:1"}},"name":"avril"}'
  assert.equal(JSON.stringify(configOf({ code: 0, stdout, stderr: '' })), stdout)
})
