import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

const lib = join(import.meta.dirname, '..', '..', 'lib')

void test('this node knows the option by which streams take less memory: of one that it does not know it would speak on stderr, in each backup', () => {
  const loading = `import(${JSON.stringify(join(lib, 'system', 'large_files.ts'))})`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--eval', loading], {
    encoding: 'utf8',
  })
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' })
})
