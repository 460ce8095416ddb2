import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRecent, loaderFor } from '../../lib/system/runtime.ts'

for (const [typescript, alone] of [
  ['strip', true],
  // Debian's, of whatever version.
  [false, false],
  ['false', false],
  // Before 22.10.
  [undefined, false],
  ['undefined', false],
] as const)
  void test(`a Node that says ${typescript} of TypeScript ${alone ? 'runs it by itself' : 'needs tsx'}`, () =>
    assert.deepEqual(loaderFor(typescript, 'tsx'), alone ? [] : ['--import', 'tsx']))

for (const [version, recent] of [
  ['', false],
  ['v18.20.0', false],
  ['v20.18.3', false],
  ['v20.19.0', true],
  ['v22.1.0', true],
] as const)
  void test(`Node ${version || 'of no version'} is ${recent ? 'recent enough' : 'too old'}`, () =>
    assert.equal(isRecent(version), recent))
