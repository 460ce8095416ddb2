import assert from 'node:assert/strict'
import { test } from 'node:test'
import { showLog } from '../../lib/docker/last_words.ts'
import { reportTo, SILENT } from '../../lib/system/progress.ts'

const endless = async function* () {
  for (let n = 1; n < 1e6; n++) yield `line ${n}`
}

void test('of a log that never ends the beginning is shown, and it is let go of', async () => {
  const shown: string[] = []
  reportTo({ ...SILENT, detail: text => void shown.push(text) })
  const lines = endless()
  await showLog(lines, 2)
  assert.deepEqual(shown, ['line 1', 'line 2', '… it goes on: docker logs has it'])
  assert.equal((await lines.next()).done, true)
})
