import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lostIn } from '../../lib/postgres/bring_back.ts'

void test('what did not come back is read with its reason and its SQL, whatever lines they have', () => {
  assert.deepEqual(lostIn(''), [])
  assert.deepEqual(
    lostIn('INDEX a b\u0001no function\nHINT: x\u0001create index b\n  on a;\n\u0002\nVIEW c\u0001\u0001\u0002\n'),
    [
      { object: 'INDEX a b', why: 'no function\nHINT: x', sql: 'create index b\n  on a;' },
      { object: 'VIEW c', why: '', sql: '' },
    ],
  )
})
