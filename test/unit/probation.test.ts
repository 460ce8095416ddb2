// How long a new instance runs before it gets requests, whatever the clock of its node says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { probationLeft } from '../../lib/deploy/rollout.ts'

const now = Date.parse('2026-11-30T09:00:00Z')
const at = (seconds: number) => ({ started: new Date(now + seconds * 1000).toISOString() })

const table: [string, made: number, started: number, left: number][] = [
  ['it has just started', -4, 0, 5],
  ['it runs for a while', -4, -3, 2],
  ['it has run long enough', -20, -18, -13],
  ['the clock of its node is an hour fast: not an hour', -4, 3600, 5],
  ['the clock of its node is an hour slow: it is not skipped', -4, -3600, 1],
]
for (const [what, made, started, left] of table)
  void test(`probation: ${what}`, () => assert.equal(probationLeft(5, at(made), at(started), now), left * 1000))
