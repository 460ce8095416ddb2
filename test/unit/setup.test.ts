import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSettings, root, SECRETS } from '../../lib/config.ts'
import { Failure } from '../../lib/errors.ts'
import { bad, good, type Finding } from '../../lib/setup/findings.ts'
import { newSettings } from '../../lib/setup/make_settings.ts'
import { urlOf } from '../../lib/setup/repositories.ts'
import { ipv6Findings, type Ipv6Facts } from '../../lib/setup/ipv6.ts'
import { goThrough, type Step } from '../../lib/setup/setup.ts'

const words = (findings: Finding[]) => findings.map(({ level, text }) => `${level}: ${text}`)

// --- settings and repositories

const example = readFileSync(join(root, '.env.example'), 'utf8')

void test('a new .env is accepted for a public site, and its secrets are long, of their own, and never the same', () => {
  const [one, two] = [newSettings(example, 'avril.example'), newSettings(example, 'avril.example')].map(text => readSettings(text, example))
  for (const name of SECRETS) assert.match(one?.[name] ?? '', /^[0-9a-f]{64}$/)
  assert.equal(new Set(SECRETS.flatMap(name => [one?.[name], two?.[name]])).size, SECRETS.length * 2)
  assert.deepEqual([one?.WHOST, one?.NGINX_BIND, one?.CLIENT_TO_PHOENIX_URL], ['avril.example', '0.0.0.0', 'https://avril.example'])
})

void test('a new .env has nginx listen on IPv6 where it can', () => {
  const settings = readSettings(newSettings(example, 'avril.example', true), example)
  assert.deepEqual([settings.NGINX_BIND, settings.NETWORK_IPV6], ['', 'true'])
})

for (const [what, settings, facts, said] of [
  ['no record', { NGINX_BIND: '0.0.0.0' }, { records: [], reachable: true }, ['good: avril.example has no address of IPv6']],
  ['a record that answers', { NGINX_BIND: '', NETWORK_IPV6: 'true' }, { records: [{ address: '2001:db8::1', trouble: undefined }], reachable: true }, ['good: avril.example can be reached at 2001:db8::1']],
  [
    'one of two records silent',
    { NGINX_BIND: '0.0.0.0' },
    { records: [{ address: '2001:db8::1', trouble: undefined }, { address: '2001:db8::2', trouble: 'ECONNREFUSED' }], reachable: true },
    ['warning: avril.example has the address 2001:db8::2 (an AAAA record), and nobody can connect to it: ECONNREFUSED. Visitors with IPv6 wait for it in vain'],
  ],
  ['no server of names', { NGINX_BIND: '0.0.0.0' }, { records: undefined, reachable: false }, ['unknown: no server of names told whether avril.example has an address of IPv6']],
  [
    'visitors who are all one',
    { NGINX_BIND: '' },
    { records: [], reachable: true },
    ['warning: nginx listens on IPv6 too, but all visitors that come by it have one address there, and share its limits'],
  ],
  ['a machine without IPv6', { NGINX_BIND: '' }, { records: [], reachable: false }, ['good: avril.example has no address of IPv6']],
] as const) {
  void test(`IPv6: ${what}`, () => assert.deepEqual(words(ipv6Findings({ WHOST: 'avril.example', ...settings }, facts as unknown as Ipv6Facts)), said))
}

void test('without a host name only the secrets differ from the example', () => {
  const changed = newSettings(example, undefined).split('\n').filter((line, index) => line !== example.split('\n')[index])
  assert.deepEqual(new Set(changed.map(line => line.split('=')[0])), new Set(SECRETS))
})

void test('a repository comes from its usual address, or from the one that is set', () => {
  assert.equal(urlOf({}, 'avril-profil'), 'https://github.com/StartupsPoleEmploi/avril-profil')
  assert.equal(urlOf({ AVRIL_PROFIL_GIT_URL: '' }, 'avril-profil'), 'https://github.com/StartupsPoleEmploi/avril-profil')
  assert.equal(urlOf({ AVRIL_PROFIL_GIT_URL: 'git@example.org:a/b.git' }, 'avril-profil'), 'git@example.org:a/b.git')
  for (const url of ['--upload-pack=x', 'ext::sh -c x', '-x@y:z']) assert.throws(() => urlOf({ AVRIL_GIT_URL: url }, 'avril'), (error: unknown) => error instanceof Failure && error.exitCode === 78)
})

// --- the order of the steps

const step = (name: string, more: Partial<Step>): Step => ({ name, needs: [], look: () => [good(name)], ...more })

/** A step that is not in order until it is mended. */
const broken = (name: string, more: Partial<Step> = {}) => {
  let done = false
  return step(name, { look: () => [done ? good(`${name} done`) : bad(`${name} missing`, undefined, { mend: `doing ${name}` })], mend: async () => void (done = true), ...more })
}

const go = async (steps: Step[], mend: boolean) => words(await goThrough(steps, mend, () => {}))

void test('a look changes nothing, and what needs a step that is not in order waits', async () => {
  const steps = [broken('a'), step('b', { needs: ['a'] }), step('c', { needs: ['b'] }), step('d', {})]
  const expected = ['bad: a missing', 'unknown: this needs a to be in order', 'unknown: this needs b to be in order', 'good: d']
  assert.deepEqual(await go(steps, false), expected)
  assert.deepEqual(await go(steps, false), expected)
})

void test('what can be mended is, and then what needs it goes on', async () => {
  assert.deepEqual(await go([broken('a'), broken('b', { needs: ['a'] })], true), ['good: a done', 'good: b done'])
})

void test('a failure takes the place of what it could not mend, and keeps its code', async () => {
  const fails = broken('a', { mend: () => Promise.reject(new Failure('no network', { exitCode: 69 })) })
  const [first, ...others] = await goThrough([fails, step('b', { needs: ['a'] }), broken('c')], true, () => {})
  assert.deepEqual([first?.text, first?.exitCode], ['no network', 69])
  assert.deepEqual(words(others), ['unknown: this needs a to be in order', 'good: c done'])
})

void test('what waits to be mended is looked at all the same', async () => {
  const [, second] = await goThrough([step('a', { look: () => [bad('a')] }), broken('b', { mendAfter: ['a'] })], true, () => {})
  assert.deepEqual([second?.text, second?.hint], ['b missing', 'nothing is begun before a is in order'])
})
