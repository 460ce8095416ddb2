import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'

void test('each folder of lib has its floor: the linter knows what it may import', () => {
  const { overrides } = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8')) as {
    overrides: { files: string[]; rules: object }[]
  }
  const known = overrides
    .filter(({ rules }) => 'no-restricted-imports' in rules)
    .flatMap(({ files }) => files)
    .toSorted()
  const folders = readdirSync(join(root, 'lib')).map(folder => `lib/${folder}/**`)
  assert.deepEqual(known, folders.toSorted())
})
