import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { archiveFindings } from '../../lib/setup/archive_steps.ts'
import { type BackupFacts, backupFindings, protectionFinding } from '../../lib/setup/nightly_backup.ts'
import { pairFindings } from '../../lib/setup/certificates.ts'
import {
  bootFindings,
  clockFindings,
  diskFindings,
  modeFindings,
  nodeFindings,
  ownLogFindings,
  rebootFindings,
} from '../../lib/setup/check_server.ts'
import { stackFindings, portFindings } from '../../lib/setup/check_stack.ts'
import { root } from '../../lib/system/checkout.ts'
import { type Finding, good } from '../../lib/setup/findings.ts'
import { openFolder, readableFindings, readFolders } from '../../lib/setup/readable.ts'
import type { StackConfig } from '../../lib/docker/stack_config.ts'

const words = (findings: Finding[]) => findings.map(({ level, text }) => `${level}: ${text}`)
const GB = 1e9

// --- the stack
const app = {
  image: 'avril-phoenix:compose',
  labels: { 'avril.repository': 'avril', 'avril.port': '4000' },
  build: { context: '/repos/avril', args: { BASE: 'elixir:1.20.2-slim' } },
  healthcheck: {
    test: [
      'CMD-SHELL',
      'n=0; until curl -sS -m 2 -w "%{http_code}" http://127.0.0.1:4000/healthcheck 2>&1 >/dev/null; do n=$((n + ' +
        '1)); done',
    ],
    interval: '1s',
  },
  logging: { driver: 'json-file', options: { 'max-size': '10m' } },
  restart: 'unless-stopped',
}
const database = {
  image: 'postgis/postgis:18-3.6',
  healthcheck: { test: ['CMD', 'pg_isready'] },
  logging: app.logging,
  restart: 'always',
}
const lookAt = (phoenix: object, postgres: object = {}, merged?: object) => {
  const config = {
    name: 'avril',
    services: { phoenix: { ...app, ...phoenix }, postgres: { ...database, ...postgres } },
  } as StackConfig
  return words(
    stackFindings(config, merged ? { ...config, services: { ...config.services, ...merged } } : config, path =>
      path.endsWith('.conf'),
    ),
  )
}

void test('the stack as it should be is one good finding', () => {
  assert.deepEqual(lookAt({}), ['good: apps that can be rolled: 1; nothing unwise'])
})

for (const [what, phoenix, postgres, expected] of [
  ['a container_name', { container_name: 'x' }, {}, /^bad: phoenix has a container_name/],
  ['a port of an app', { ports: [{ published: '4000' }] }, {}, /^bad: phoenix publishes a port/],
  ['no health check of an app', { healthcheck: undefined }, {}, /^bad: phoenix has no health check/],
  ['no health check of another', {}, { healthcheck: { test: ['NONE'] } }, /^warning: postgres has no health check/],
  [
    'a health check that remembers',
    { healthcheck: { test: ['CMD-SHELL', 'test -e /tmp/ok || { curl -L x && touch /tmp/ok; }'] } },
    {},
    /^warning: the health check of phoenix writes a file/,
  ],
  [
    'one that takes a redirect',
    { healthcheck: { test: ['CMD', 'curl', '-fsS', 'http://127.0.0.1:4000/healthcheck'] } },
    {},
    /^warning: the health check of phoenix takes a redirect/,
  ],
  [
    'one that writes by >',
    { healthcheck: { test: ['CMD-SHELL', 'curl -L x 2>/dev/null && date > /tmp/ok'] } },
    {},
    /^warning: the health check of phoenix writes a file/,
  ],
  [
    'one that asks every 5 minutes',
    { healthcheck: { ...app.healthcheck, interval: '5m0s' } },
    {},
    /^warning: the health check of phoenix asks only every 5m0s/,
  ],
  [
    'one that cannot fail',
    { healthcheck: { test: ['CMD-SHELL', 'curl -L x || true'] } },
    {},
    /^warning: the health check of phoenix cannot fail/,
  ],
  [
    'replicas of an app that keeps state',
    { labels: { ...app.labels, 'avril.state.save': 'x' }, deploy: { replicas: 2 } },
    {},
    /^warning: phoenix keeps sessions in each of its 2 instances/,
  ],
  [
    'a database for the world',
    {},
    { ports: [{ published: '5432', target: 5432 }] },
    /^bad: postgres is published to the world, on port 5432/,
  ],
  ['a database on 0.0.0.0', {}, { ports: [{ host_ip: '0.0.0.0', published: '5432' }] }, /^bad: postgres is published/],
  [
    'a single file that is mounted',
    {},
    { volumes: [{ type: 'bind', source: '/x/my.conf', target: '/etc/my.conf' }] },
    /^warning: postgres mounts the single file \/x\/my\.conf/,
  ],
  [
    'an image without a tag',
    {},
    { image: 'registry:5000/postgis' },
    /^warning: postgres uses registry:5000\/postgis, which is another/,
  ],
  ['latest', {}, { image: 'postgis/postgis:latest' }, /^warning: postgres uses postgis\/postgis:latest/],
  [
    'a base image without a tag',
    { build: { ...app.build, args: { BASE: 'elixir' } } },
    {},
    /^warning: phoenix uses elixir,/,
  ],
  ['a log without bound', {}, { logging: undefined }, /^warning: the log of postgres grows/],
  ['no restart', {}, { restart: 'no' }, /^warning: postgres does not come back after a reboot/],
] as const) {
  void test(`${what} is found, and nothing else`, () => {
    const found = lookAt(phoenix, postgres)
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0] ?? '', expected)
  })
}

void test('what is no fault: a port on 127.0.0.1, a mounted folder, an image by its digest', () => {
  const fine = {
    ports: [{ host_ip: '127.0.0.1', published: '5432' }],
    volumes: [{ type: 'bind', source: '/x', target: '/y' }],
    image: 'postgis/postgis@sha256:00',
  }
  assert.equal(lookAt({}, fine).length, 1)
})

for (const [what, among, count] of [
  ['that the nodes of a Swarm reach', '10.0.0.1', 0],
  ['of another address', '10.0.0.2', 1],
  ['where there is no Swarm', undefined, 1],
] as const)
  void test(`a port ${what}: ${count === 0 ? 'no fault' : 'published to the world'}`, () => {
    const registry = { ports: [{ host_ip: '10.0.0.1', published: '5000' }] }
    assert.equal(portFindings({ name: 'avril', services: { registry } }, among).length, count)
  })

void test('an override counts, and the one that is generated is no fault', () => {
  assert.deepEqual(lookAt({}, {}, { phoenix: { ...app, image: 'avril-phoenix:0123', build: undefined } }), [
    'good: apps that can be rolled: 1; nothing unwise',
  ])
  assert.match(
    lookAt({}, {}, { postgres: { ...database, ports: [{ published: '1' }] } }).join(),
    /published to the world/,
  )
})

// --- certificates
const folder = mkdtempSync(join(tmpdir(), 'certificates-'))
after(() => rmSync(folder, { recursive: true }))

const make = (name: string) => {
  const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '90',
      ...subject,
      '-keyout',
      key,
      '-out',
      certificate,
    ],
    { stdio: 'ignore' },
  )
  return {
    names: ['fullchain.pem', 'privkey.pem'] as [string, string],
    key: readFileSync(key, 'utf8'),
    certificate: readFileSync(certificate, 'utf8'),
    open: false,
  }
}
const pair = make('avril.example')
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)

for (const [what, site, change, now, expected] of [
  ['a good pair', 'avril.example', {}, inDays(1), /^good: fullchain\.pem, until \d{4}-\d\d-\d\d \(\d\d days\)$/],
  [
    'the key of another',
    'avril.example',
    { key: make('other.example').key },
    inDays(1),
    /^bad: privkey\.pem is not the key of fullchain\.pem$/,
  ],
  ['one that expired', 'avril.example', {}, inDays(91), /^bad: fullchain\.pem expired on /],
  ['one that expires soon', 'avril.example', {}, inDays(80), /^warning: fullchain\.pem expires on .*, in 9 days/],
  ['one of tomorrow', 'avril.example', {}, inDays(-1), /^bad: fullchain\.pem is valid only from/],
  [
    'one of another site',
    'profil.example',
    {},
    inDays(1),
    /bad: fullchain\.pem is not for profil\.example, but for DNS:avril\.example/,
  ],
  ['no certificate', 'avril.example', { certificate: 'x' }, inDays(1), /^bad: fullchain\.pem is not a certificate/],
  ['no key', 'avril.example', { key: '' }, inDays(1), /^bad: privkey\.pem is not a private key that nginx can use/],
  [
    'a key for all to read',
    'avril.example',
    { open: true },
    inDays(1),
    /warning: privkey\.pem can be read by every user/,
  ],
] as const) {
  void test(`a certificate: ${what}`, () =>
    assert.match(words(pairFindings(site, { ...pair, ...change }, now)).join('\n'), expected))
}

void test('a certificate is judged for the other names of the site too', () => {
  const said = (aliases: string[]) => words(pairFindings('avril.example', pair, inDays(1), aliases)).slice(1)
  assert.deepEqual(said(['avril.example']), [])
  assert.deepEqual(said(['www.avril.example']), [
    'warning: fullchain.pem is not for www.avril.example (WHOST_ALIASES): browsers refuse https://www.avril.example/',
  ])
})

// --- the machine

for (const [what, findings, expected] of [
  [
    'a disk with room',
    diskFindings([{ folders: ['/a', '/b'], free: 50 * GB, inodes: 0.5 }]),
    'good: 50.0 GB free for /a, /b',
  ],
  [
    'a disk that fills',
    diskFindings([{ folders: ['/a'], free: 5 * GB, inodes: undefined }]),
    'warning: only 5.0 GB free for /a',
  ],
  [
    'a disk that is full',
    diskFindings([{ folders: ['/a'], free: 1 * GB, inodes: 0.5 }]),
    'bad: only 1.0 GB free for /a',
  ],
  [
    'a disk without inodes',
    diskFindings([{ folders: ['/a'], free: 50 * GB, inodes: 0.01 }]),
    'bad: 50.0 GB free for /a, but hardly an inode',
  ],
  ['a clock that is right', clockFindings(true), 'good: synchronised'],
  [
    'a clock on its own',
    clockFindings(false),
    'warning: not synchronised with a time server: certificates, logs and backups go by it',
  ],
  ['no reboot', rebootFindings(undefined), 'good: none is pending'],
  [
    'a reboot for something',
    rebootFindings(['libc6', 'linux-image', 'libc6']),
    'warning: a reboot is pending, for libc6, linux-image',
  ],
  ['an engine that starts', bootFindings('enabled'), 'good: the engine starts at boot'],
  [
    'an engine that is a snap',
    bootFindings('not-found'),
    'warning: systemd has no docker.service here, so nothing is known to start the engine at boot',
  ],
  ['an old Node', nodeFindings('20.18.3'), 'bad: Node 20.18.3 is too old: 20.19 or later is needed'],
  ['an engine that does not', bootFindings('disabled'), 'bad: the engine does not start at boot'],
  [
    'files of one user and one group',
    modeFindings({ '/x/.env': 0o100600, '/x/a.dump': 0o100640 }),
    'good: no secret and no dump can be read by everybody',
  ],
  [
    'a file of all',
    modeFindings({ '/x/.env': 0o100644 }),
    'warning: /x/.env can be read by every user of this machine',
  ],
  [
    'a log that has grown',
    ownLogFindings({ '/x/audit.jsonl': GB, '/x/history.jsonl': 1000 }),
    'warning: /x/audit.jsonl has grown to 1.0 GB',
  ],
] as const) {
  void test(what, () => assert.deepEqual(words(findings), [expected]))
}

// --- the archive
const OLD_SERVER = { version: 170_005, server: '17.5' }
for (const [what, settings, server, expected] of [
  ['not set', {}, {}, /^unknown: WAL is not set.*--archive/],
  ['off', { WAL: 'off' }, {}, /^unknown: WAL=off/],
  ['on', { WAL: 'on' }, { slot: 'active', version: 180_001 }, /^good: /],
  [
    'on, and a postgres that former scripts started',
    { WAL: 'on' },
    { socket: false },
    /^bad: postgres was started by former scripts/,
  ],
  ['off, and the server keeps on', { WAL: 'off' }, { slot: 'idle' }, /^bad: .* still keeps up to WAL_KEEP/],
  ['no line any more', {}, { slot: 'idle' }, /^bad: .* still keeps up to WAL_KEEP/],
  ['off, and it is received still', { WAL: 'off' }, { slot: 'active' }, /^warning: .* still receives/],
  ['on, and PostgreSQL is too old', { WAL: 'on' }, OLD_SERVER, /^bad: PostgreSQL is 17.5, and the archive needs 18/],
  ['not set, and PostgreSQL is too old', {}, OLD_SERVER, /^unknown: .* cannot be: PostgreSQL is 17.5.* needs 18/],
] as const)
  void test(`archive: ${what}`, () =>
    assert.match(words(archiveFindings(settings, { socket: true, ...server })).join(), expected))

// --- backups
const facts: BackupFacts = {
  site: 'avril.example',
  folder: '/mnt/backups/avril',
  parent: true,
  entry: '30 2 * * * root x\n',
  expected: time => (time === '02:30' ? '30 2 * * * root x\n' : ''),
  ships: true,
  cron: true,
  state: { last: null, trouble: null },
}

for (const [what, change, expected] of [
  ['an entry at a time of its own is left alone', {}, /^good: each night at 02:30/],
  ['no entry', { entry: undefined }, /^bad: nothing makes a backup each night$/],
  [
    'an entry of another checkout keeps its time',
    { entry: '15 4 * * * root y\n' },
    /^bad: cron's entry for the backup is of another/,
  ],
  ['an archive that nobody ships', { ships: false }, /^bad: cron does not ship the archive/],
  ['a cron that does not run', { cron: false }, /^bad: cron does not run$/],
  ['a disk that is missing', { parent: false }, /^bad: there is no \/mnt\/backups/],
  ['localhost', { parent: false, site: 'localhost' }, /^unknown: /],
  [
    'old backups',
    { state: { last: null, trouble: 'the newest backup is 3 days old' } },
    /warning: the newest backup is 3 days old$/,
  ],
] as const) {
  void test(`backups: ${what}`, () => assert.match(words(backupFindings({ ...facts, ...change })).join('\n'), expected))
}

void test('an entry that is renewed keeps its time', () => {
  for (const entry of ['5 4 * * * root y\n', '5 4 * * 1-6 root y\n5 4 * * 0 root z\n'])
    assert.equal(backupFindings({ ...facts, entry })[0]?.mend, 'having cron make one each night at 04:05')
})

// --- what containers read

void test('what containers cannot read of a clone made under a strict umask is found, and mended as far as its owner may', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'readable '))
  t.after(() => rmSync(folder, { recursive: true }))
  assert.equal(readableFindings([folder])[0]?.level, 'bad')
  mkdirSync(join(folder, 'errors'), { mode: 0o700 })
  writeFileSync(join(folder, 'errors', '50x.html'), '', { mode: 0o600 })
  writeFileSync(join(folder, 'reload.sh'), '', { mode: 0o700 })
  symlinkSync('/nowhere', join(folder, 'link'))
  // A file that is mounted by itself.
  assert.match(readableFindings([join(folder, 'reload.sh')])[0]?.text ?? '', /reload[.]sh cannot be read/)
  const [finding] = readableFindings([folder])
  assert.match(finding?.text ?? '', /and 3 more cannot be read/)
  await openFolder(finding ?? good(''))
  assert.deepEqual(
    ['', 'errors', 'errors/50x.html', 'reload.sh'].map(path => (statSync(join(folder, path)).mode & 0o777).toString(8)),
    ['755', '755', '644', '755'],
  )
  assert.deepEqual(
    readableFindings([folder]).map(({ level }) => level),
    ['good'],
  )
})

void test('what containers read is what is mounted read-only of this checkout, and the static files; not the certificates', () => {
  const volume = (source: string, target: string, read_only = true) => ({ type: 'bind', source, target, read_only })
  const volumes = [
    volume(join(root, 'nginx'), '/etc/nginx/avril'),
    volume(join(root, 'nginx/start'), '/start'),
    volume(join(root, 'db/dumps'), '/pg-dump'),
    volume('/root/ssl/x', '/ssl'),
    volume('/etc', '/static'),
  ]
  assert.deepEqual(readFolders({ name: '', services: { nginx: { volumes } } }), [join(root, 'nginx'), '/etc'])
})

// How the bucket says that it keeps what it has, whether what was removed was there still, what is said.
const PROTECTIONS = [
  ['lock', true, 'good', /^copies off the site are locked/],
  ['lock', false, 'bad', /able to remove what it had locked/],
  ['versions', true, 'good', /stays there as a version/],
  ['versions', false, 'warning', /may remove them too/],
  ['none', false, 'warning', /whoever has this server can remove/],
] as const

for (const [protection, outlives, level, expected] of PROTECTIONS)
  void test(`copies off the site: ${protection}, ${outlives ? 'still there' : 'gone'}`, () => {
    const finding = protectionFinding(protection, outlives)
    assert.equal(finding.level, level)
    assert.match(finding.text, expected)
  })
