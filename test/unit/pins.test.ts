import assert from 'node:assert/strict'
import { test } from 'node:test'
import { baseNames } from '../../lib/docker/compose_files.ts'
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

const [MAIN, OWN, RELEASES] = ['docker-compose.yml', 'docker-compose.override.yml', 'docker-compose.releases.yml']

// COMPOSE_FILE, whether there is an override of the team's, and what is read below the releases.
for (const [listed, override, expected] of [
  [undefined, false, [MAIN]],
  [undefined, true, [MAIN, OWN]],
  [`${MAIN}:${RELEASES}`, false, [MAIN]],
  [`${MAIN}:${RELEASES}`, true, [MAIN, OWN]],
  [`${MAIN}:${OWN}:${RELEASES}`, false, [MAIN]],
  [`${MAIN}:${OWN}:more.yml`, true, [MAIN, OWN, 'more.yml']],
  [`${MAIN}:more.yml`, false, [MAIN, 'more.yml']],
] as const) {
  void test(`COMPOSE_FILE ${listed ?? 'unset'}${override ? ', with an override' : ''}: ${expected.join(', ')}`, () =>
    assert.deepEqual(baseNames(listed, override), expected))
}
