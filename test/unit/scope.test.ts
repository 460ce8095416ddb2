import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Scope } from '../../lib/system/scope.ts'

/** What is disposed of, in that order; those in `bad` fail. */
const disposed = async (names: string[], bad: string[] = []) => {
  const order: string[] = []
  const scope = new Scope()
  for (const name of names)
    scope.use({
      dispose: async () => {
        order.push(name)
        if (bad.includes(name)) throw new Error(name)
      },
    })
  const error: unknown = await scope.dispose().catch((error: unknown) => error)
  await scope.dispose()
  return { order, error: error instanceof Error ? error.message : undefined }
}

void test('the last is disposed of first, and each once', async () => {
  assert.deepEqual(await disposed(['lock', 'server', 'folder']), {
    order: ['folder', 'server', 'lock'],
    error: undefined,
  })
})

void test('one that fails keeps no other, and is told', async () => {
  assert.deepEqual(await disposed(['lock', 'server', 'folder'], ['server', 'folder']), {
    order: ['folder', 'server', 'lock'],
    error: 'folder',
  })
})
