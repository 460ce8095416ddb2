import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { convertSettings, linesOfChanges, withoutSecret } from '../../lib/setup/old_settings.ts'
import {
  type CronLine,
  isReplaced,
  oldCronLines,
  putBackCron,
  takeOutOfCron,
  timeOfCron,
} from '../../lib/setup/old_cron.ts'
import { satisfies } from '../../lib/setup/old_site.ts'
import { firstStartIn } from '../../lib/setup/trial.ts'
import { settingsWith } from '../../lib/system/env_file.ts'
import { root } from '../../lib/system/checkout.ts'
import { readSettings } from '../../lib/system/settings.ts'

const example = readFileSync(join(root, '.env.example'), 'utf8')

const convert = (settings: Record<string, string>, ipv6 = false) =>
  convertSettings({ settings: new Map(Object.entries(settings)), images: {}, ipv6 })

const NEW = /^[0-9a-f]{64}$/

// What stands in the old .env, a setting, what becomes of it, and its value; a RegExp for what is made by chance.
const CASES: [Record<string, string>, string, string, (string | RegExp)?][] = [
  [{ PGPASSWORD: 'x' }, 'PGPASSWORD', 'dropped'],
  [{ NUXT_BUILD_DIR: '/build' }, 'NUXT_BUILD_DIR', 'dropped'],
  [{ NODE_ENV: 'production' }, 'NODE_ENV', 'dropped'],
  [{ PGADMIN_DEFAULT_EMAIL: 'a@b.c' }, 'PGADMIN_DEFAULT_EMAIL', 'dropped'],
  [{ COMPOSE_HTTP_TIMEOUT: '200' }, 'COMPOSE_HTTP_TIMEOUT', 'dropped'],
  [{ COMPOSE_PROJECT_NAME: 'avril' }, 'COMPOSE_PROJECT_NAME', 'corrected', 'avril-site'],
  [{ COMPOSE_PROJECT_NAME: 'avril-site' }, 'COMPOSE_PROJECT_NAME', 'corrected', 'avril'],
  [{ WHOST: 'localhost:4000' }, 'WHOST', 'corrected', 'localhost'],
  [{ WHOST: 'avril.example' }, 'WHOST', 'kept', 'avril.example'],
  [{ WHOST: 'a b' }, 'WHOST', 'wrong'],
  [{ WHOST: 'avril.example' }, 'NGINX_BIND', 'made', '0.0.0.0'],
  [{ WHOST: 'avril.example' }, 'CLIENT_TO_PHOENIX_URL', 'corrected', 'https://avril.example'],
  [
    { WHOST: 'avril.example', CLIENT_TO_PHOENIX_URL: 'https://www.avril.example' },
    'CLIENT_TO_PHOENIX_URL',
    'kept',
    'https://www.avril.example',
  ],
  [{ SERVER_TO_PHOENIX_URL: 'http://phoenix:4000' }, 'SERVER_TO_PHOENIX_URL', 'corrected', 'http://nginx:8080'],
  [{ SERVER_TO_PHOENIX_URL: 'http://elsewhere:4000' }, 'SERVER_TO_PHOENIX_URL', 'kept', 'http://elsewhere:4000'],
  [{ NGINX_PORT: '127.0.0.1:8081' }, 'NGINX_PORT', 'corrected', '8081'],
  [{ NGINX_PORT: 'many' }, 'NGINX_PORT', 'wrong'],
  [{ POSTGRES_HOST: 'localhost' }, 'POSTGRES_HOST', 'corrected', 'postgres'],
  [{ POSTGRES_PASSWORD: 'a$b' }, 'POSTGRES_PASSWORD', 'kept', 'a$b'],
  [{ POSTGRES_PASSWORD: '' }, 'POSTGRES_PASSWORD', 'made', NEW],
  [{ POSTGRES_PASSWORD: `'"` }, 'POSTGRES_PASSWORD', 'wrong'],
  [{ POSTGRES_USER: 'postgres' }, 'POSTGRES_APP_USER', 'made', 'postgres_app'],
  [{ SECRET_KEY_BASE: 'required' }, 'SECRET_KEY_BASE', 'made', NEW],
  [{ BUCKET_NAME: 'XXXXXXXXX' }, 'BUCKET_NAME', 'made', 'avril'],
  [{ BUCKET_NAME: 'Resumes' }, 'BUCKET_NAME', 'wrong'],
  [{ MINIO_ACCESS_KEY: 'minio', MINIO_SECRET_KEY: 'long-enough' }, 'AWS_ACCESS_KEY_ID', 'renamed', 'minio'],
  [{ MINIO_ACCESS_KEY: 'minio', MINIO_SECRET_KEY: 'long-enough' }, 'AWS_SECRET_ACCESS_KEY', 'renamed', 'long-enough'],
  [{ AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'long-enough' }, 'AWS_ACCESS_KEY_ID', 'kept', 'key'],
  [{ AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'a/b+c/d+e' }, 'AWS_SECRET_ACCESS_KEY', 'made', NEW],
  [{ AWS_ACCESS_KEY_ID: 'key' }, 'AWS_ACCESS_KEY_ID', 'made', 'avril'],
  [
    { MINIO_ACCESS_KEY: '', MINIO_SECRET_KEY: '', AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'long-enough' },
    'AWS_ACCESS_KEY_ID',
    'kept',
    'key',
  ],
  [{ MINIO_ACCESS_KEY: 'avril_root', MINIO_SECRET_KEY: 'long-enough' }, 'MINIO_ROOT_USER', 'made', 'avril_admin'],
  [{}, 'WAL', 'made', 'on'],
  [{ WAL: 'off' }, 'WAL', 'kept', 'off'],
  [{ WAL: '/var/log' }, 'WAL', 'made', 'on'],
  [{ POSTGRES_IMAGE: 'postgis/postgis:18-3.6' }, 'WAL', 'made', 'on'],
  [{ POSTGRES_IMAGE: 'registry:5000/postgis:15-3.4' }, 'WAL', 'made', 'off'],
  [{ ERL_AFLAGS: '-kernel shell_history enabled' }, 'ERL_AFLAGS', 'kept', '-kernel shell_history enabled'],
  [{ WHITELIST_EMAILS: 'a@b.c;d@e.f' }, 'WHITELIST_EMAILS', 'kept', 'a@b.c;d@e.f'],
  [{ 'my.name': 'x' }, 'my.name', 'wrong'],
  [{ NOTE: 'two\nlines' }, 'NOTE', 'wrong'],
]

for (const [old, name, kind, value] of CASES) {
  void test(`of ${JSON.stringify(old)} ${name} is ${kind}`, () => {
    const changes = convert(old).filter(change => change.name === name)
    assert.deepEqual(
      changes.map(change => change.kind),
      [kind],
    )
    if (value instanceof RegExp) assert.match(changes[0]?.value ?? '', value)
    else assert.equal(changes[0]?.value, value)
    if (kind !== 'kept') assert.ok(changes[0]?.why)
  })
}

void test('what is made of any old .env in which nothing is wrong is accepted, with the values that it had', () => {
  const old = Object.assign({}, ...CASES.filter(([, , kind]) => kind !== 'wrong').map(([it]) => it)) as Record<
    string,
    string
  >
  const changes = convert(
    { ...old, POSTGRES_PASSWORD: 'a$b', WHOST: 'avril.example', NOTE: `it's "so"`.replaceAll('"', '') },
    true,
  )
  const settings = readSettings(settingsWith(example, linesOfChanges(changes)), example)
  assert.equal(settings.POSTGRES_PASSWORD, 'a$b')
  assert.equal(settings.texts.get('NOTE'), `it's so`)
  assert.deepEqual([settings.NGINX_BIND, settings.NETWORK_IPV6], [undefined, true])
  for (const { name, value } of changes) if (value) assert.equal(settings.texts.get(name), value)
})

void test('no secret is shown', () => {
  for (const { name, value } of convert({ POSTGRES_PASSWORD: 'a$b' }))
    if (/PASSWORD|SECRET|KEY/.test(name)) assert.equal(withoutSecret(name, value ?? ''), '(not shown)')
})

for (const [version, wanted, satisfied] of [
  ['1.20.2', '~> 1.8.2', false],
  ['1.8.9', '~> 1.8.2', true],
  ['1.8.1', '~> 1.8.2', false],
  ['1.20.2', '~> 1.8', true],
  ['2.0.0', '~> 1.8', false],
  ['24.21.0', '>=18', true],
  ['24.21.0', '>= 26.1', false],
  ['24.21.0', '^24.3.0', true],
  ['24.21.0', '^18.1', false],
  ['24.21.0', '18.x', false],
  ['24.21.0', '24.x', true],
  ['24.21.0', '~24.20.1', false],
  ['24.21.0', '*', true],
] as const) {
  void test(`${version} is ${satisfied ? '' : 'not '}what ${JSON.stringify(wanted)} asks for`, () => {
    assert.equal(satisfies(version, wanted), satisfied)
  })
}

void test('what cron still runs of the old checkout is found, and nothing else; it is taken out, and put back as it was', () => {
  const top = mkdtempSync(join(tmpdir(), 'cron-'))
  try {
    mkdirSync(join(top, 'etc/cron.d'), { recursive: true })
    mkdirSync(join(top, 'var/spool/cron/crontabs'), { recursive: true })
    writeFileSync(join(top, 'etc/cron.d/avril'), '0 2 * * * root tsx /home/docker/avril-scripts/scripts/backup.ts\n')
    writeFileSync(
      join(top, 'etc/crontab'),
      '# 0 1 * * * root /root/avril-backup.sh\n0 1 * * * root /root/avril-backup.sh\n',
    )
    writeFileSync(
      join(top, 'var/spool/cron/crontabs/root'),
      '5 1 * * * cd /home/docker/avril/ && ./scripts/backup.sh\n',
    )
    mkdirSync(join(top, 'etc/cron.daily'))
    writeFileSync(join(top, 'etc/cron.daily/avril'), '#!/bin/sh\n/root/avril-backup.sh\n')
    chmodSync(join(top, 'var/spool/cron/crontabs/root'), 0o600)
    if (process.getuid?.() === 0) chownSync(join(top, 'var/spool/cron/crontabs/root'), 1234, 4321)
    const state = () =>
      ['etc/crontab', 'etc/cron.d/avril', 'etc/cron.daily/avril', 'var/spool/cron/crontabs/root'].map(file => {
        const { mode, uid, gid } = statSync(join(top, file))
        return { mode, uid, gid, text: readFileSync(join(top, file), 'utf8') }
      })
    const before = state()
    const lines = oldCronLines({ folder: '/home/docker/avril', top })
    assert.deepEqual(lines, [
      { file: '/etc/crontab', line: '0 1 * * * root /root/avril-backup.sh', isTable: true, use: 'backup' },
      {
        file: '/var/spool/cron/crontabs/root',
        line: '5 1 * * * cd /home/docker/avril/ && ./scripts/backup.sh',
        isTable: true,
        use: 'backup',
      },
      { file: '/etc/cron.daily/avril', line: '/root/avril-backup.sh', isTable: false, use: 'backup' },
    ])
    assert.equal(timeOfCron(lines), '01:00')
    const changed = ['/etc/crontab', '/var/spool/cron/crontabs/root']
    assert.deepEqual(takeOutOfCron({ top }, lines), changed)
    assert.deepEqual(takeOutOfCron({ top }, lines), [])
    assert.deepEqual(
      oldCronLines({ folder: '/home/docker/avril', top }).map(({ file }) => file),
      ['/etc/cron.daily/avril'],
    )
    assert.deepEqual(
      state().map(({ text, ...rest }) => ({ ...rest, lines: text.split('\n').length })),
      before.map(({ text, ...rest }) => ({ ...rest, lines: text.split('\n').length })),
    )
    assert.deepEqual(putBackCron({ top }), changed)
    assert.deepEqual(state(), before)
  } finally {
    rmSync(top, { recursive: true })
  }
})

// Lines of a crontab, and what they are to the takeover; undefined: nothing of the old site. Extend it by a line.
const CRON: [string, CronLine['use'] | undefined][] = [
  ['0 1 * * * /root/avril-backup.sh', 'backup'],
  ['30 2 * * * cd /home/docker/avril && docker-compose exec -T postgres pg_dump vae >/mnt/x', 'backup'],
  ['@reboot cd /home/docker/avril && docker-compose up -d', 'start'],
  ['0 5 * * 1 /home/docker/avril/scripts/deploy_local.sh avril', 'start'],
  ['0 4 * * * cd "/home/docker/avril-profil" && docker compose restart nuxt_profile', 'start'],
  [
    '0 3 * * * certbot renew --deploy-hook "docker-compose -f /home/docker/avril/docker-compose.yml restart nginx"',
    'other',
  ],
  ['0 6 * * * cd /home/docker/avril && ./scripts/utils/rncp_update.sh', 'other'],
  ['0 2 * * * tsx /home/docker/avril-scripts/scripts/backup.ts', undefined],
  ['# 0 1 * * * /root/avril-backup.sh', undefined],
  ['0 1 * * * /home/docker/avrilx/backup', undefined],
]

void test('lines of cron: what makes backups or starts the old site is replaced, the rest is shown', () => {
  const top = mkdtempSync(join(tmpdir(), 'cron '))
  try {
    mkdirSync(join(top, 'etc'))
    for (const [line, use] of CRON) {
      writeFileSync(join(top, 'etc/crontab'), `${line}\n`)
      const found = oldCronLines({ folder: '/home/docker/avril', top })
      assert.deepEqual(
        found.map(it => it.use),
        use === undefined ? [] : [use],
        line,
      )
      assert.equal(found.some(isReplaced), use === 'backup' || use === 'start', line)
    }
    const backup = { file: '/etc/crontab', line: '30 2 * * * x', isTable: true, use: 'backup' } as const
    assert.equal(timeOfCron([{ ...backup, line: '0 3 * * * certbot', use: 'other' }, backup]), '02:30')
  } finally {
    rmSync(top, { recursive: true })
  }
})

void test('what a first start said of its dump: what was compared, and what did not come back', () => {
  const log = [
    'first start: warning: of an earlier try',
    'first start: found db/dumps/latest.dump (1M): database vae',
    'first start: it is whole: 4 tables, 500 rows',
    'LOG:  checkpoint',
    'first start: warning: the dump names the role metabase',
    'first start: restored; comparing the rows of each table with the dump',
    'first start: warning: not restored: index fragile: no',
    'first start:   CREATE INDEX fragile',
    'first start: verified',
  ].join('\n')
  const warnings = [
    'warning: the dump names the role metabase',
    'warning: not restored: index fragile: no',
    '  CREATE INDEX fragile',
  ]
  assert.deepEqual(firstStartIn(log), { compared: '4 tables, 500 rows', warnings })
  assert.deepEqual(firstStartIn('first start: there is no db/dumps/latest.dump'), { compared: 'no rows', warnings: [] })
})
