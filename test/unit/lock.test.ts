import { Failure } from '../../lib/system/errors.ts'
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import { takeLock } from '../../lib/system/lock.ts'
import { statePath } from '../../lib/system/state_folder.ts'

void test('who waits for a lock does not wait for ever', { timeout: 20_000 }, async t => {
  const name = 'unit-test.lock'
  const lock = await takeLock(name, () => 'nobody', false)
  t.after(() => rmSync(statePath(name), { force: true }))
  try {
    await assert.rejects(
      takeLock(name, () => 'a question', true, 1),
      (error: unknown) =>
        error instanceof Failure && error.exitCode === 75 && error.message === 'the lock is held by a question',
    )
  } finally {
    await lock.dispose()
  }
})
