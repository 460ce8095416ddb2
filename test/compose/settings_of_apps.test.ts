// Which settings of .env reach which app, as Compose reads docker-compose.yml. A new setting of .env.example is one of
// the hosting, unless a line here says which apps read it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'
import type { StackConfig } from '../../lib/docker/stack_config.ts'

const PHOENIX = ['phoenix']
const ALL = ['phoenix', 'nuxt_profile', 'nuxt_booklet']
const READERS: Record<string, string[]> = {
  POSTGRES_HOST: PHOENIX,
  POSTGRES_DB: PHOENIX,
  POSTGRES_USER: PHOENIX,
  POSTGRES_PASSWORD: PHOENIX,
  BUCKET_NAME: PHOENIX,
  AWS_ACCESS_KEY_ID: PHOENIX,
  AWS_SECRET_ACCESS_KEY: PHOENIX,
  SECRET_KEY_BASE: PHOENIX,
  DEV_EMAILS: PHOENIX,
  WHITELIST_EMAILS: PHOENIX,
  AFPA_CC_ADDRESS: PHOENIX,
  MARIE_CC_ADDRESS: PHOENIX,
  WHOST: ALL,
  NUXT_BOOKLET_PATH: ALL,
  NUXT_PROFILE_PATH: ALL,
  FILES_PATH: ALL,
  CLIENT_TO_PHOENIX_URL: ALL,
  SERVER_TO_PHOENIX_URL: ALL,
  NUXT_PROFILE_SENTRY_DSN: ALL,
  NUXT_BOOKLET_SENTRY_DSN: ALL,
  NUXT_CRISP_WEBSITE_ID: ALL,
  HOTJAR_ID: ALL,
  TAG_COMMANDER: ALL,
}

/** What stands in no .env.example, but in the .env of a site. */
const MORE: Record<string, string[]> = {
  A_SETTING_OF_THEIR_OWN: ALL,
  MAILJET_PRIVATE_API_KEY: PHOENIX,
  FRANCE_VAE_CLIENT_SECRET: PHOENIX,
  PE_CONNECT_CLIENT_SECRET: PHOENIX,
  RNCP_PASS: PHOENIX,
  PGPASSWORD: PHOENIX,
  DATABASE_URL: PHOENIX,
  COMPOSE_FILE: [],
}

const example = readFileSync(join(root, '.env.example'), 'utf8')
const names = [...new Set([...example.matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm)].map(([, name = '']) => name))]

// Compose judges some of them itself.
const value = (name: string, one: string) => {
  if (name === 'COMPOSE_FILE') return 'docker-compose.yml'
  if (name === 'NGINX_BIND') return `127.0.0.${one}`
  if (name === 'NETWORK_IPV6') return String(one === '1')
  if (/_(REPLICAS|PORT|MEMORY)$/.test(name)) return `${one}${name.endsWith('_MEMORY') ? 'g' : ''}`
  return `${name.endsWith('_DIR') ? '/' : ''}value-${one}-of-${name.toLowerCase().replaceAll('_', '-')}`
}

const site = mkdtempSync(join(tmpdir(), 'settings-'))
after(() => rmSync(site, { recursive: true }))
for (const path of ['docker-compose.yml', 'recipes']) cpSync(join(root, path), join(site, path), { recursive: true })

const servicesWith = (settings: Record<string, string>) => {
  writeFileSync(
    join(site, '.env'),
    Object.entries({ PE_CONNECT_CLIENT_SECRET: 'x', RNCP_API_KEY: 'x', ...settings })
      .map(([name, text]) => `${name}=${text}\n`)
      .join(''),
  )
  const config = execFileSync('docker', ['compose', '--project-directory', site, 'config', '--format', 'json'], {
    encoding: 'utf8',
    // Compose looks there for what COMPOSE_FILE names.
    cwd: site,
  })
  return (JSON.parse(config) as StackConfig).services
}

const valuesOf = (wanted: string[], one = '1') => Object.fromEntries(wanted.map(name => [name, value(name, one)]))

void test('each setting reaches the apps that read it, and no other', () => {
  const settings = valuesOf([...names, ...Object.keys(MORE)])
  const services = servicesWith(settings)
  const reached = (name: string) => ALL.filter(service => (services[service]?.environment?.[name] ?? '') !== '')
  const wanted = { ...READERS, ...MORE }
  const found = Object.keys(settings).map(name => [name, reached(name)])
  assert.deepEqual(
    Object.fromEntries(found),
    Object.fromEntries(Object.keys(settings).map(name => [name, wanted[name] ?? []])),
  )
})

void test('a secret reaches no app under another name than its own, but for those that Avril reads', () => {
  const services = servicesWith(valuesOf(names))
  const holders = (secret: string) =>
    ALL.flatMap(service =>
      Object.entries(services[service]?.environment ?? {})
        .filter(([, text]) => text?.includes(value(secret, '1')))
        .map(([name]) => `${service} ${name}`),
    )
  assert.deepEqual(holders('POSTGRES_APP_PASSWORD'), ['phoenix POSTGRES_PASSWORD'])
  assert.deepEqual(holders('POSTGRES_PASSWORD'), [])
  assert.deepEqual(holders('MINIO_ROOT_PASSWORD'), [])
  assert.deepEqual(holders('AWS_SECRET_ACCESS_KEY'), ['phoenix AWS_SECRET_ACCESS_KEY', 'phoenix MINIO_SECRET_KEY'])
  assert.deepEqual(holders('OFFSITE_SECRET_ACCESS_KEY'), [])
})

// The settings of a site → what phoenix logs in with, by the names that it reads, and what the servers are started
// with.
const LOGINS = {
  POSTGRES_USER: 'pg',
  POSTGRES_PASSWORD: 'pg-pw',
  AWS_ACCESS_KEY_ID: 'key',
  AWS_SECRET_ACCESS_KEY: 'key-pw',
}
for (const [kind, more, phoenix, minio] of [
  ['older than keys of its own', {}, ['pg', 'pg-pw', 'key', 'key-pw'], ['key', 'key-pw']],
  [
    'with keys of its own',
    {
      POSTGRES_APP_USER: 'app',
      POSTGRES_APP_PASSWORD: 'app-pw',
      MINIO_ROOT_USER: 'root',
      MINIO_ROOT_PASSWORD: 'root-pw',
    },
    ['app', 'app-pw', 'key', 'key-pw'],
    ['root', 'root-pw'],
  ],
] as const) {
  void test(`a site ${kind}: who logs in as whom`, () => {
    const services = servicesWith({ ...LOGINS, ...more })
    const of = (service: string, ...wanted: string[]) => wanted.map(name => services[service]?.environment?.[name])
    assert.deepEqual(of('phoenix', 'POSTGRES_USER', 'POSTGRES_PASSWORD', 'MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY'), [
      ...phoenix,
    ])
    assert.deepEqual(of('phoenix', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'), phoenix.slice(2))
    assert.deepEqual(of('postgres', 'POSTGRES_USER', 'POSTGRES_PASSWORD'), ['pg', 'pg-pw'])
    assert.deepEqual(of('minio', 'MINIO_ROOT_USER', 'MINIO_ROOT_PASSWORD', 'BUCKET_KEY', 'BUCKET_SECRET'), [
      ...minio,
      'key',
      'key-pw',
    ])
    const administrators = ['pg-pw', 'root-pw'].filter(secret => !(phoenix as readonly string[]).includes(secret))
    for (const service of ALL)
      for (const secret of administrators)
        assert.ok(!Object.values(services[service]?.environment ?? {}).includes(secret), `${service} has ${secret}`)
  })
}

void test('nginx has its port of https by UDP when there is HTTP/3, at the same address, and else each port once', () => {
  const portsOf = (settings: Record<string, string>) =>
    servicesWith(settings).nginx?.ports?.map(it => `${it.host_ip ?? ''} ${it.published} ${it.target} ${it.protocol}`)
  for (const address of ['', '127.0.0.1', '0.0.0.0']) {
    const tcp = [`${address} 80 80 tcp`, `${address} 8443 443 tcp`]
    const settings = { NGINX_BIND: address, NGINX_TLS_PORT: '8443' }
    assert.deepEqual(portsOf(settings), tcp)
    assert.deepEqual(portsOf({ ...settings, HTTP3: '' }), tcp)
    assert.deepEqual(portsOf({ ...settings, HTTP3: 'on' }), [...tcp, `${address} 8443 443 udp`])
  }
})

// What a container is made of: its build, the number of instances, its name and its image are none of it.
const configured = (services: StackConfig['services']) =>
  Object.fromEntries(
    ALL.map(service => [
      service,
      { ...services[service], build: undefined, deploy: undefined, image: undefined, networks: undefined },
    ]),
  )

void test('a change of what only the hosting reads changes no app', () => {
  const hosting = names.filter(
    name => !(name in READERS) && !name.endsWith('_MEMORY') && !name.startsWith('POSTGRES_APP_'),
  )
  assert.deepEqual(configured(servicesWith(valuesOf(hosting, '1'))), configured(servicesWith(valuesOf(hosting, '2'))))
})
