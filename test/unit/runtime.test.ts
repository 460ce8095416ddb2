import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRecent, loaderFor, runsTypeScript } from '../../lib/system/runtime.ts'

for (const [version, alone] of [
  ['v20.19.0', false],
  ['v22.17.9', false],
  ['v22.18.0', true],
  ['v23.5.0', false],
  ['v23.6.0', true],
  ['v24.0.0', true],
  ['v100.1.0', true],
] as const)
  void test(`Node ${version} ${alone ? 'runs TypeScript by itself' : 'needs tsx'}`, () => {
    assert.equal(runsTypeScript(version), alone)
    assert.deepEqual(loaderFor(version, 'tsx'), alone ? [] : ['--import', 'tsx'])
  })

for (const [version, recent] of [
  ['', false],
  ['v18.20.0', false],
  ['v20.18.3', false],
  ['v20.19.0', true],
  ['v22.1.0', true],
] as const)
  void test(`Node ${version || 'of no version'} is ${recent ? 'recent enough' : 'too old'}`, () =>
    assert.equal(isRecent(version), recent))

void test('this version does what is said of it', () => {
  const { typescript } = process.features as { typescript?: string | false }
  assert.equal(runsTypeScript(process.version), typescript === 'strip')
})
