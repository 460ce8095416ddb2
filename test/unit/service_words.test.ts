// What a Swarm is told of an app is what Compose would make a container of.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { baseNames } from '../../lib/docker/compose_files.ts'
import { serviceCreate } from '../../lib/docker/service_words.ts'
import type { ServiceConfig } from '../../lib/docker/stack_config.ts'
import { Failure } from '../../lib/system/errors.ts'

const request = {
  project: 'avril',
  service: 'phoenix',
  rollout: 'phoenix-1',
  image: 'avril-phoenix:abc',
  source: '10.0.0.1:5000/avril-phoenix@sha256:1',
  fingerprint: '123',
  replicas: 2,
  without: [] as string[],
}
const create = (config: ServiceConfig, more: Partial<typeof request> = {}) =>
  serviceCreate(config, { default: 'avril_swarm', back: 'avril_swarm_back' }, { ...request, ...more })

const valuesOf = (words: string[], flag: string) => words.filter((_, index) => words[index - 1] === flag)

const table: [string, ServiceConfig, flag: string, string[]][] = [
  [
    'each network by its name, with the rollout as an alias',
    { networks: { default: null, back: null } },
    '--network',
    ['name=avril_swarm,alias=phoenix-1', 'name=avril_swarm_back,alias=phoenix-1'],
  ],
  ['no network named: the default one', {}, '--network', ['name=avril_swarm,alias=phoenix-1']],
  [
    'a $ that Compose has printed twice',
    { healthcheck: { test: ['CMD-SHELL', '[ $$n -lt 25 ]'] } },
    '--health-cmd',
    ['[ $n -lt 25 ]'],
  ],
  [
    'a health check of words',
    { healthcheck: { test: ['CMD', 'curl', "it's"] } },
    '--health-cmd',
    [`'curl' 'it'\\''s'`],
  ],
  [
    'how often it is asked',
    { healthcheck: { test: ['CMD', 'x'], interval: '1s', retries: 3 } },
    '--health-interval',
    ['1s'],
  ],
  ['limits', { mem_limit: '2147483648', pids_limit: 1024 }, '--limit-memory', ['2147483648']],
  ['0: no limit', { mem_limit: '0' }, '--limit-memory', []],
  ['a share of the processor', { cpus: '0.5' }, '--limit-cpu', ['0.5']],
  ['rights', { cap_drop: ['ALL'] }, '--cap-drop', ['ALL']],
  ['how long it may end', { stop_grace_period: '30s' }, '--stop-grace-period', ['30s']],
  ['the log', { logging: { driver: 'json-file', options: { 'max-size': '10m' } } }, '--log-opt', ['max-size=10m']],
]
for (const [what, config, flag, expected] of table)
  void test(`a service in a Swarm: ${what}`, () => assert.deepEqual(valuesOf(create(config).words, flag), expected))

void test('no value of a setting stands in a list of processes, but what docker itself would heed', () => {
  const { words, env } = create({
    environment: { SECRET: 'a $$ b\nc', PATH: '/bin', DOCKER_HOST: 'x', HTTPS_PROXY: 'p', GONE: null },
  })
  assert.deepEqual(valuesOf(words, '--env'), ['SECRET', 'PATH=/bin', 'DOCKER_HOST=x', 'HTTPS_PROXY=p'])
  assert.deepEqual(env, { SECRET: 'a $ b\nc' })
})

void test('a node that is being taken out gets none, and only nodes of apps get one', () =>
  assert.deepEqual(valuesOf(create({}, { without: ['n2'] }).words, '--constraint'), [
    'node.labels.avril.app==true',
    'node.id!=n2',
  ]))

void test('the image comes last, by its digest', () => assert.equal(create({}).words.at(-1), request.source))

/** What Compose prints of an app of this stack, beside what is translated. */
const OURS = {
  build: { context: '.' },
  command: null,
  depends_on: { postgres: { condition: 'service_healthy', required: true } },
  deploy: { replicas: 1, resources: {}, placement: {} },
  profiles: ['swarm'],
  restart: 'unless-stopped',
  security_opt: ['no-new-privileges:true'],
}

const refused: [string, object][] = [
  ['a volume', { volumes: [{ type: 'bind', target: '/data' }] }],
  ['a command', { command: ['x'] }],
  ['an entrypoint', { entrypoint: ['x'] }],
  ['extra hosts', { extra_hosts: ['a=b'] }],
  ['all rights', { privileged: true }],
  ['a server of names', { dns: ['10.0.0.1'] }],
  ['limits that stand elsewhere', { deploy: { resources: { limits: { cpus: '1' } } } }],
  ['a folder in memory', { volumes: [{ type: 'tmpfs', target: '/tmp' }] }],
  ['what nobody has thought of', { never_seen: 1 }],
]
for (const [what, config] of refused)
  void test(`what would be dropped without a word is refused: ${what}`, () =>
    assert.throws(
      () => create(config),
      (error: unknown) => error instanceof Failure && error.exitCode === 78,
    ))

for (const empty of [
  { command: null, entrypoint: null },
  { extra_hosts: [] },
  { privileged: false },
  { attach: true },
  { deploy: { replicas: 2, resources: {} } },
  OURS,
])
  void test(`what is not there is no trouble: ${JSON.stringify(empty)}`, () => assert.ok(create(empty)))

const files: [string, string | undefined, boolean, boolean, string[]][] = [
  ['one server', undefined, false, false, ['docker-compose.yml']],
  [
    'one server that was one of several',
    'docker-compose.yml:docker-compose.swarm.yml',
    false,
    false,
    ['docker-compose.yml'],
  ],
  ['several', undefined, false, true, ['docker-compose.yml', 'docker-compose.swarm.yml']],
  [
    "what is the team's own comes later",
    'docker-compose.yml:own.yml',
    true,
    true,
    ['docker-compose.yml', 'docker-compose.swarm.yml', 'own.yml', 'docker-compose.override.yml'],
  ],
]
for (const [what, listed, override, swarm, expected] of files)
  void test(`which files Compose reads: ${what}`, () => assert.deepEqual(baseNames(listed, override, swarm), expected))
