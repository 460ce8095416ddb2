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

void test('the form of older scripts is read, too', () => {
  const older = `# Generated
services:
  phoenix:
    image: ${pins.phoenix.image}
    build: !reset null
    pull_policy: never
    labels: { avril.rollout: ${pins.phoenix.rollout}, avril.fingerprint: f${pins.phoenix.fingerprint} }
    networks: { default: { aliases: [${pins.phoenix.rollout}] } }
`
  assert.deepEqual(parsePins(older), { phoenix: pins.phoenix })
})

for (const [what, text] of [
  ['no YAML', 'services: ['],
  ["somebody's own override", 'services:\n  phoenix:\n    environment: { A: b }\n'],
  ['an edited file', renderPins(pins).replace('pull_policy: never', 'pull_policy: always')],
  ['an entry with something added', renderPins(pins).replace('    pull_policy', '    ports: ["1:1"]\n    pull_policy')],
] as const) {
  void test(`${what} is refused, not overwritten`, () =>
    assert.throws(() => parsePins(text), /was not written by these scripts/))
}
