import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Drill } from '../../lib/backup/drill.ts'
import { appsToTry } from '../../lib/backup/drill_apps.ts'
import { appsText } from '../../lib/backup/set_summary.ts'
import { type DrillRecord, drillPage } from '../../lib/cli/drill_page.ts'
import { loneService } from '../../lib/docker/lone_service.ts'
import { stackOf } from '../../lib/docker/stack.ts'
import type { ServiceConfig, StackConfig } from '../../lib/docker/stack_config.ts'

const app = (more: Partial<ServiceConfig> = {}, labels: Record<string, string> = {}): ServiceConfig => ({
  image: 'avril-phoenix:1234',
  build: { context: '/avril' },
  healthcheck: { test: ['CMD', 'true'] },
  depends_on: { postgres: { condition: 'service_healthy' } },
  labels: { 'avril.repository': 'avril', 'avril.port': '4000', ...labels },
  ...more,
})
const configWith = (services: Record<string, ServiceConfig>): StackConfig => ({ name: 'avril', services })

for (const [what, services, live, expected] of [
  ['that uses the database', { phoenix: app() }, ['phoenix'], [['phoenix', undefined]]],
  ['that does not', { nuxt: app({ depends_on: {} }) }, ['nuxt'], []],
  ['with the label "no"', { phoenix: app({}, { 'avril.drill.start': 'no' }) }, ['phoenix'], [['phoenix', 'label']]],
  ['with the label "yes"', { phoenix: app({}, { 'avril.drill.start': 'yes' }) }, ['phoenix'], [['phoenix', undefined]]],
  ['of which no instance is live', { phoenix: app() }, ['nginx'], [['phoenix', 'not live']]],
] as const)
  void test(`a drill starts or leaves out an app ${what}`, () =>
    assert.deepEqual(
      appsToTry(stackOf(configWith(services)).apps, [...live]).map(it => [it.app.service, it.skipped]),
      expected,
    ))

void test('a label avril.drill.start that is neither yes nor no is refused, since it may keep an app from the world', () =>
  assert.throws(
    () => stackOf(configWith({ phoenix: app({}, { 'avril.drill.start': 'false' }) })),
    /neither "yes" nor "no"/,
  ))

// What a service may have that leads out of its container, as Compose prints it.
const LEADS_OUT = {
  build: { context: '/avril' },
  networks: { default: null, back: { aliases: ['x'] } },
  volumes: [
    { type: 'volume', source: 'uploads', target: '/uploads' },
    { type: 'bind', source: '/var/run/docker.sock', target: '/var/run/docker.sock' },
  ],
  volumes_from: ['minio'],
  ports: [{ target: 4000, published: '4000' }],
  depends_on: { postgres: {} },
  devices: ['/dev/kvm'],
  privileged: true,
  pid: 'host',
  ipc: 'host',
  extra_hosts: ['other:10.0.0.1'],
  dns: ['10.0.0.2'],
  hostname: 'phoenix',
  container_name: 'phoenix',
  restart: 'always',
  logging: { driver: 'gelf', options: { 'gelf-address': 'udp://10.0.0.3:1' } },
  labels: { 'com.docker.compose.project': 'avril', 'avril.rollout': 'x' },
}

void test('an app that is drilled keeps how it runs, and nothing that leads out of its container', () => {
  const own = {
    image: 'avril-phoenix:1234',
    environment: { SECRET: 'a$$b' },
    command: ['mix', 'phx.server'],
    mem_limit: '2147483648',
    cap_drop: ['ALL'],
    healthcheck: { test: ['CMD', 'true'] },
    secrets: [{ source: 'key' }],
  }
  const config = {
    ...configWith({ phoenix: { ...own, ...LEADS_OUT } }),
    secrets: { key: { file: '/key' } },
  }
  const lone = loneService(config, 'phoenix', {
    project: 'avril-drill-1',
    network: 'abc',
    label: { 'avril.drill': 'avril' },
  })
  assert.deepEqual(lone, {
    name: 'avril-drill-1',
    services: {
      phoenix: {
        ...own,
        cpu_shares: 128,
        oom_score_adj: 1000,
        network_mode: 'container:abc',
        restart: 'no',
        logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '2' } },
        labels: { 'avril.drill': 'avril' },
      },
    },
    secrets: { key: { file: '/key' } },
  })
})

void test('an app that is drilled keeps the memory that it writes to, and its limits', () => {
  const tmpfs = { type: 'tmpfs', target: '/run' }
  const deploy = { replicas: 3, resources: { limits: { memory: '1g' } } }
  const { services } = loneService(configWith({ phoenix: app({ volumes: [tmpfs], deploy }) }), 'phoenix', {
    project: 'x',
    network: 'y',
    label: {},
  })
  assert.deepEqual(services.phoenix?.volumes, [tmpfs])
  assert.deepEqual(services.phoenix?.deploy, { resources: deploy.resources })
})

const phoenix = { service: 'phoenix', image: 'avril-phoenix:1234', seconds: 8.2, answers: [{ path: '/', status: 200 }] }
for (const [apps, expected] of [
  [[], ''],
  [[phoenix], ', and phoenix showed its page on it'],
  [[phoenix, { ...phoenix, service: 'other' }], ', and phoenix and other showed their pages on it'],
  [[{ service: 'phoenix', skipped: 'label' as const }], '; phoenix was not started (the label avril.drill.start)'],
  [[{ service: 'phoenix', skipped: 'not live' as const }], '; phoenix was not started, since none of it is well here'],
] as const)
  void test(`what is said of the apps of a drill: ${expected || 'nothing'}`, () =>
    assert.equal(appsText([...apps]), expected))

const restored: Drill = {
  time: '2026-11-29T02:20:00.000Z',
  set: 'avril-20261129T021500Z',
  result: 'restored',
  seconds: 12.5,
  steps: { server: 1.5, restore: 11, compare: 0.5, migrate: 3, app: 8.2 },
  image: 'postgis/postgis:18-3.6',
  tables: 2,
  rows: 1_204_112,
  apps: [phoenix],
}
const set: NonNullable<DrillRecord['set']> = {
  made: '2026-11-29T02:15:00Z',
  database: { name: 'avril', server: '18.1', extensions: {}, tables: { 'public.users': 1_204_000, 'public.x': 112 } },
}
const record = (drill: Drill, more: Partial<DrillRecord> = {}): DrillRecord => ({
  project: 'avril',
  drills: [drill],
  set,
  moment: undefined,
  hide: text => text.replaceAll('correct-horse', '…'),
  ...more,
})
// As the page writes numbers: the spaces in them do not break.
const plain = (page: string | undefined) => (page ?? '').replaceAll(/[\u00A0\u202F]/g, ' ')

void test('there is no page before the first drill', () =>
  assert.equal(drillPage({ ...record(restored), drills: [] }), undefined))

void test('the page tells, in French and by itself, what was tried and what came of it', () => {
  const page = plain(drillPage(record(restored)))
  for (const part of [
    '<html lang="fr">',
    '✓ La sauvegarde a été rétablie en entier, et l’application y a répondu.',
    '2026-11-29 03:20:00 (Paris, UTC+01:00)',
    '2 tables, 1 204 112 lignes',
    '<td>public.users</td><td class="number">1 204 000</td>',
    '<td>phoenix</td><td>avril-phoenix:1234</td><td>✓ saine et à l’écoute en 8,2 s : / a répondu 200</td>',
    'rétablir la base</td><td>11 s',
    'tsx scripts/backup.ts --drill avril-20261129T021500Z',
  ])
    assert.ok(page.includes(part), `${part}\n\n${page}`)
  assert.doesNotMatch(page, /<script|https?:|src=|href=|undefined|NaN/)
})

for (const [what, more, expected] of [
  ['failed', { result: 'failed', error: 'phoenix cannot work' }, '✗ L’essai a échoué.'],
  ['quotes a secret', { result: 'failed', error: 'FATAL: url://a:correct-horse@db' }, 'url://a:…@db'],
  ['said why', { result: 'failed', error: 'a: b' }, '<p>a: b</p>'],
  ['ended before the app', { result: 'failed', error: 'a', apps: undefined }, 'pas allé jusqu’à l’application'],
  ['brought not all', { lost: ['INDEX a'] }, 'mais il manque 1 objet : INDEX a'],
  ['left the app out', { apps: [{ service: 'phoenix', skipped: 'label' }] }, 'avril.drill.start vaut « no »'],
  ['found no app live', { apps: [{ service: 'phoenix', skipped: 'not live' }] }, 'aucune instance n’est en service'],
  ['had no app', { apps: [] }, 'Aucune application n’a été démarrée.'],
  [
    'tried no app',
    { apps: [{ service: 'phoenix', skipped: 'label' }] },
    'en entier ; aucune application n’y a été essayée.',
  ],
] as const)
  void test(`the page of a drill that ${what}`, () => {
    const { apps: _, ...rest } = restored
    const drill = { ...('apps' in more && more.apps === undefined ? rest : restored), ...more } as Drill
    assert.ok(plain(drillPage(record(drill))).includes(expected), plain(drillPage(record(drill))))
  })

void test('the page beside encrypted sets quotes nothing that could be of a row', () => {
  const failed: Drill = { ...restored, result: 'failed', error: 'ERROR: "Dupont" is no number' }
  const page = drillPage(record(failed, { set: { ...set, recipients: ['age1'] } })) ?? ''
  assert.match(page, /ajouter --key/)
  assert.doesNotMatch(page, /Dupont/)
  assert.match(page, /drills\.jsonl/)
})

void test('the page of a drill of a moment says which, and that every index was read', () => {
  const moment = {
    time: '2026-11-29T02:30:00Z',
    at: '2026-11-27T10:00:00Z',
    result: 'recovered' as const,
    seconds: 9,
    table: 'public.users',
    rows: 3,
  }
  const page = plain(drillPage(record(restored, { moment })))
  assert.match(page, /L’état du 2026-11-27 11:00:00 .* retrouvé en 9 s ; public\.users y a ses 3 lignes/)
  assert.match(page, /pg_amcheck/)
  const failed = drillPage(record(restored, { moment: { ...moment, result: 'failed', error: 'no <b>WAL</b>' } }))
  assert.match(failed ?? '', /no &#60;b&#62;WAL/)
})

// Each text in it that others have written: a table, a log, a name in docker-compose.yml.
const NASTY = `<script>alert("1")</script>'&\u001b[31m\u202E`
const NASTY_RECORDS: [string, DrillRecord][] = [
  ['the project', { ...record(restored), project: NASTY }],
  ['a set', record({ ...restored, set: NASTY })],
  ['a table', record(restored, { set: { ...set, database: { ...set.database, tables: { [NASTY]: 1 } } } })],
  ['the database', record(restored, { set: { ...set, database: { ...set.database, name: NASTY, server: NASTY } } })],
  ['an image', record({ ...restored, image: NASTY, apps: [{ ...phoenix, image: NASTY }] })],
  ['an app', record({ ...restored, apps: [{ ...phoenix, service: NASTY }] })],
  ['a path', record({ ...restored, apps: [{ ...phoenix, answers: [{ path: NASTY, status: 200 }] }] })],
  ['a step', record({ ...restored, steps: { [NASTY]: 1 } })],
  ['a lost object', record({ ...restored, lost: [NASTY] })],
  ['an error', record({ ...restored, result: 'failed', error: NASTY })],
]
for (const [what, nasty] of NASTY_RECORDS)
  void test(`the page shows ${what} as text`, () => {
    const page = drillPage(nasty) ?? ''
    assert.ok(page.includes('&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;&#39;&#38;'), page)
    // oxlint-disable-next-line no-control-regex -- they are what it is about
    assert.doesNotMatch(page, /<script|[\u0000-\u0008\u000B-\u001F\u202E]/)
  })

void test('the page lists the last twelve drills, newest first', () => {
  const drills = Array.from({ length: 20 }, (_, n) => ({
    ...restored,
    time: `2026-11-${String(n + 1).padStart(2, '0')}T02:00:00Z`,
    set: `set-${n + 1}.`,
  }))
  const page = plain(drillPage({ ...record(restored), drills }))
  const list = page.slice(page.indexOf('Les derniers essais'))
  assert.deepEqual(
    [...list.matchAll(/<td>set-(\d+)\./g)].map(([, n]) => Number(n)),
    [20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9],
  )
})
