import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'
import { readSettings, SECRETS } from '../../lib/system/settings.ts'
import { Failure } from '../../lib/system/errors.ts'
import { bad, type Finding, good } from '../../lib/setup/findings.ts'
import { newSettings } from '../../lib/setup/make_settings.ts'
import { settingsWith } from '../../lib/system/env_file.ts'
import { urlOf } from '../../lib/setup/repositories.ts'
import { type Ipv6Facts, ipv6Findings } from '../../lib/setup/ipv6.ts'
import { goThrough, type Step } from '../../lib/setup/setup.ts'
import { differences } from '../../lib/setup/taken_up.ts'
import type { StackConfig } from '../../lib/docker/stack_config.ts'

const words = (findings: Finding[]) => findings.map(({ level, text }) => `${level}: ${text}`)

// --- settings and repositories
const APP_KEYS = ['POSTGRES_APP_USER', 'POSTGRES_APP_PASSWORD', 'MINIO_ROOT_USER', 'MINIO_ROOT_PASSWORD']
const example = readFileSync(join(root, '.env.example'), 'utf8')

void test('a new .env is accepted for a public site, and its secrets are long, of their own, and never the same', () => {
  const [one, two] = [newSettings(example, 'avril.example'), newSettings(example, 'avril.example')].map(text =>
    readSettings(text, example),
  )
  for (const name of SECRETS) assert.match(one?.[name] ?? '', /^[0-9a-f]{64}$/)
  assert.equal(new Set(SECRETS.flatMap(name => [one?.[name], two?.[name]])).size, SECRETS.length * 2)
  assert.deepEqual(
    [one?.WHOST, one?.NGINX_BIND, one?.texts.get('CLIENT_TO_PHOENIX_URL')],
    ['avril.example', '0.0.0.0', 'https://avril.example'],
  )
})

void test('a new .env has nginx listen on IPv6 where it can', () => {
  const settings = readSettings(newSettings(example, 'avril.example', true), example)
  assert.deepEqual([settings.NGINX_BIND, settings.NETWORK_IPV6], [undefined, true])
})

for (const [what, settings, facts, said] of [
  [
    'no record',
    { NGINX_BIND: '0.0.0.0' },
    { records: [], reachable: true },
    ['good: avril.example has no address of IPv6'],
  ],
  [
    'a record that answers',
    { NGINX_BIND: '', NETWORK_IPV6: true },
    { records: [{ address: '2001:db8::1', trouble: undefined }], reachable: true },
    ['good: avril.example can be reached at 2001:db8::1'],
  ],
  [
    'one of two records silent',
    { NGINX_BIND: '0.0.0.0' },
    {
      records: [
        { address: '2001:db8::1', trouble: undefined },
        { address: '2001:db8::2', trouble: 'ECONNREFUSED' },
      ],
      reachable: true,
    },
    [
      'warning: avril.example has the address 2001:db8::2 (an AAAA record), and nobody can connect to it: ' +
        'ECONNREFUSED. Visitors with IPv6 wait for it in vain',
    ],
  ],
  [
    'no server of names',
    { NGINX_BIND: '0.0.0.0' },
    { records: undefined, reachable: false },
    ['unknown: no server of names told whether avril.example has an address of IPv6'],
  ],
  [
    'visitors who are all one',
    { NGINX_BIND: undefined },
    { records: [], reachable: true },
    [
      'warning: nginx listens on IPv6 too, but all visitors that come by it have one address there, and share its ' +
        'limits',
    ],
  ],
  [
    'a machine without IPv6',
    { NGINX_BIND: undefined },
    { records: [], reachable: false },
    ['good: avril.example has no address of IPv6'],
  ],
] as const) {
  void test(`IPv6: ${what}`, () =>
    assert.deepEqual(words(ipv6Findings({ WHOST: 'avril.example', ...settings }, facts as unknown as Ipv6Facts)), said))
}

void test('without a host name only the secrets and the archive differ from the example', () => {
  const changed = newSettings(example, undefined)
    .split('\n')
    .filter((line, index) => line !== example.split('\n')[index])
  assert.deepEqual(new Set(changed.map(line => line.split('=')[0])), new Set([...SECRETS, ...APP_KEYS, 'WAL']))
})

void test('a new .env gives the app keys of its own, which are not those of the administrators', () => {
  const one = readSettings(newSettings(example, undefined), example)
  for (const name of APP_KEYS)
    assert.match(one.texts.get(name) ?? '', name.endsWith('PASSWORD') ? /^[0-9a-f]{64}$/ : /^avril_/)
  assert.equal(
    new Set([one.POSTGRES_PASSWORD, one.POSTGRES_APP_PASSWORD, one.AWS_SECRET_ACCESS_KEY, one.MINIO_ROOT_PASSWORD])
      .size,
    4,
  )
})

// What a .env says → the names in the refusal.
for (const [lines, message] of [
  ['POSTGRES_APP_USER=app', /POSTGRES_APP_USER, but no POSTGRES_APP_PASSWORD/],
  ['POSTGRES_APP_PASSWORD=secret', /POSTGRES_APP_PASSWORD, but no POSTGRES_APP_USER/],
  ['POSTGRES_APP_USER=avril\nPOSTGRES_APP_PASSWORD=secret', /POSTGRES_APP_USER is POSTGRES_USER/],
  ["POSTGRES_APP_USER='a b'\nPOSTGRES_APP_PASSWORD=secret", /POSTGRES_APP_USER is not/],
  ['MINIO_ROOT_USER=root', /MINIO_ROOT_USER, but no MINIO_ROOT_PASSWORD/],
  ['MINIO_ROOT_USER=avril\nMINIO_ROOT_PASSWORD=secret-secret', /MINIO_ROOT_USER is AWS_ACCESS_KEY_ID/],
  ['MINIO_ROOT_USER=root\nMINIO_ROOT_PASSWORD=short', /MINIO_ROOT_PASSWORD is not/],
] as const) {
  void test(`${JSON.stringify(lines)} in .env is refused`, () => {
    assert.throws(
      () => readSettings(`${example}\n${lines}\n`, example),
      (error: unknown) => error instanceof Failure && error.exitCode === 78 && message.test(error.message),
    )
  })
}

// The .env before, and after POSTGRES_APP_USER=new was set in it.
for (const [before, after] of [
  ['A=1\nPOSTGRES_APP_USER=old\nB=2\n', 'A=1\nPOSTGRES_APP_USER=new\nB=2\n'],
  ['#POSTGRES_APP_USER=x\nA=1', 'POSTGRES_APP_USER=new\nA=1'],
  ['#POSTGRES_APP_USER=x\nPOSTGRES_APP_USER=old\n', '#POSTGRES_APP_USER=x\nPOSTGRES_APP_USER=new\n'],
  ['A=1\n# POSTGRES_APP_USER= is not set', 'A=1\n# POSTGRES_APP_USER= is not set\nPOSTGRES_APP_USER=new\n'],
  ["MY_POSTGRES_APP_USER=x\nA='#'\n", "MY_POSTGRES_APP_USER=x\nA='#'\nPOSTGRES_APP_USER=new\n"],
] as const) {
  void test(`a setting is changed in ${JSON.stringify(before)}`, () =>
    assert.equal(settingsWith(before, { POSTGRES_APP_USER: 'new' }), after))
}

// How a service is described, how its container runs, and what is said of that.
const NETWORKS: StackConfig = {
  name: 'avril',
  services: {},
  networks: { default: { name: 'avril_default' }, back: { name: 'avril_back' } },
}
for (const [service, running, said] of [
  [
    { networks: { back: null }, environment: { A: '1', NONE: '', FROM_SHELL: null } },
    { networks: ['avril_back'], environment: { A: '1', PATH: '/bin' } },
    [],
  ],
  [
    { networks: { default: null, back: null } },
    { networks: ['avril_default'], environment: {} },
    ['not in avril_back'],
  ],
  [
    { networks: { back: null } },
    { networks: ['avril_default', 'avril_back'], environment: {} },
    ['still in avril_default'],
  ],
  [
    { networks: {}, environment: { POSTGRES_PASSWORD: '', A: '1' } },
    { networks: [], environment: { POSTGRES_PASSWORD: 'the secret', A: '2' } },
    ['other settings (A, POSTGRES_PASSWORD)'],
  ],
  [{ networks: {}, environment: { PRICE: '5 $$' } }, { networks: [], environment: { PRICE: '5 $' } }, []],
  [
    { networks: {}, environment: Object.fromEntries('abcdefgh'.split('').map(name => [name, '1'])) },
    { networks: [], environment: {} },
    ['other settings (a, b, c, d, e, f, 2 more)'],
  ],
] as const) {
  void test(`what runs otherwise than it is described: ${said.join() || 'nothing'} (${JSON.stringify(running)})`, () =>
    assert.deepEqual(
      differences(service, NETWORKS, { networks: [...running.networks], environment: running.environment }),
      [...said],
    ))
}

void test('a repository comes from its usual address, or from the one that is set', () => {
  assert.equal(urlOf({ texts: new Map() }, 'avril-profil'), 'https://github.com/StartupsPoleEmploi/avril-profil')
  assert.equal(
    urlOf({ texts: new Map([['AVRIL_PROFIL_GIT_URL', 'git@example.org:a/b.git']]) }, 'avril-profil'),
    'git@example.org:a/b.git',
  )
  for (const url of ['--upload-pack=x', 'ext::sh -c x', '-x@y:z'])
    assert.throws(
      () => urlOf({ texts: new Map([['AVRIL_GIT_URL', url]]) }, 'avril'),
      (error: unknown) => error instanceof Failure && error.exitCode === 78,
    )
})

// --- the order of the steps
const step = (name: string, more: Partial<Step>): Step => ({ name, needs: [], look: () => [good(name)], ...more })

/** A step that is not in order until it is mended. */
const broken = (name: string, more: Partial<Step> = {}) => {
  let done = false
  return step(name, {
    look: () => [done ? good(`${name} done`) : bad(`${name} missing`, undefined, { mend: `doing ${name}` })],
    mend: async () => void (done = true),
    ...more,
  })
}

const go = async (steps: Step[], mend: boolean) => words(await goThrough(steps, mend, () => {}))

void test('a look changes nothing, and what needs a step that is not in order waits', async () => {
  const steps = [broken('a'), step('b', { needs: ['a'] }), step('c', { needs: ['b'] }), step('d', {})]
  const expected = [
    'bad: a missing',
    'unknown: this needs a to be in order',
    'unknown: this needs b to be in order',
    'good: d',
  ]
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
  const [, second] = await goThrough(
    [step('a', { look: () => [bad('a')] }), broken('b', { mendAfter: ['a'] })],
    true,
    () => {},
  )
  assert.deepEqual([second?.text, second?.hint], ['b missing', 'nothing is begun before a is in order'])
})
