import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePins, renderPins } from '../../lib/docker/release_pins.ts'

const pins = {
  phoenix: {
    image: 'avril-phoenix:0123456789ab-abcdef',
    rollout: 'phoenix-20261122t101500123',
    network: 'default',
    fingerprint: '0123456789abcdef',
  },
  nuxt_profile: {
    image: 'avril-nuxt_profile:compose',
    rollout: 'nuxt_profile-20261122t101501000',
    network: 'front',
    fingerprint: '00',
  },
}

void test('what is rendered is read back', () => {
  assert.deepEqual(parsePins(renderPins(pins)), pins)
  assert.deepEqual(parsePins(renderPins({})), {})
  assert.deepEqual(parsePins(''), {})
})

for (const [what, text] of [
  ["somebody's own override", 'services:\n  phoenix:\n    environment: { A: b }\n'],
  ['an edited file', renderPins(pins).replace('pull_policy: never', 'pull_policy: always')],
  ['an entry with something added', `${renderPins(pins)}    ports: ["1:1"]\n`],
] as const) {
  void test(`${what} is refused, not overwritten`, () =>
    assert.throws(() => parsePins(text), /was not written by these scripts/))
}
