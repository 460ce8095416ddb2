// What is told of a recovery of a lost server that has begun and not ended.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownCheckout } from '../helpers/own_checkout.ts'

const checkout = ownCheckout()
const note: typeof import('../../lib/status/recovery_note.ts') = await import(
  join(checkout, 'lib/status/recovery_note.ts')
)
const { recoveryText }: typeof import('../../lib/cli/status_report.ts') = await import(
  join(checkout, 'lib/cli/status_report.ts')
)

const begun = { name: '20261124T031500Z', at: new Date().toISOString(), kept: null, files: null, lost: [] }
for (const [kind, words] of [
  ['archive', 'from the archive (20261124T031500Z) has begun and not ended: tsx scripts/setup.ts --recover goes on'],
  ['set', 'from a backup set (20261124T031500Z) has begun and not ended: tsx scripts/setup.ts --recover goes on'],
] as const)
  void test(`a recovery from ${kind} that has not ended is told with what to do, until it has`, () => {
    note.noteRecovery({ ...begun, kind, incomplete: false })
    const unfinished = note.unfinishedRecovery()
    assert(unfinished)
    assert(recoveryText(unfinished).includes(words), recoveryText(unfinished))
    note.forgetRecovery()
    assert.equal(note.unfinishedRecovery(), undefined)
  })
