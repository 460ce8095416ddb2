import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'
import { linesOf, readSettings } from '../../lib/system/settings.ts'
import { Failure } from '../../lib/system/errors.ts'

const example = readFileSync(join(root, '.env.example'), 'utf8')
const withLine = (name: string, line: string) => example.replace(new RegExp(`^${name}=.*$`, 'm'), line)
const refusal = (text: string) => {
  try {
    readSettings(text, example)
  } catch (error) {
    assert.ok(error instanceof Failure)
    assert.equal(error.exitCode, 78)
    return error.message
  }
  return assert.fail('it was accepted')
}

void test('the example is accepted as it is', () => {
  assert.equal(readSettings(example, example).POSTGRES_DB, 'avril')
})

void test('a missing setting is named, with its line in the example', () => {
  assert.match(refusal(withLine('WHOST', '')), /^\.env has no WHOST$/)
})

for (const [name, line, message] of [
  ['NGINX_PORT', 'NGINX_PORT=http', /line \d+: NGINX_PORT is not a whole number from 0 to 65535/],
  ['NGINX_PORT', 'NGINX_PORT=70000', /NGINX_PORT is not/],
  ['PHOENIX_REPLICAS', 'PHOENIX_REPLICAS=0', /PHOENIX_REPLICAS is not a whole number from 1 to 16/],
  ['POST_RATE', 'POST_RATE=010', /POST_RATE is not a whole number/],
  ['DRAIN_SECONDS', 'DRAIN_SECONDS=030', /DRAIN_SECONDS is not a whole number/],
  ['#SWARM', 'SWARM=10.0.0.256', /SWARM is not an IPv4 address/],
  ['#SWARM', 'SWARM=010.0.0.1', /SWARM is not an IPv4 address/],
  ['NGINX_BIND', 'NGINX_BIND=1.2.3.400', /NGINX_BIND is not an IPv4 address/],
  ['POSTGRES_DB', "POSTGRES_DB='a; drop'", /POSTGRES_DB is not a name/],
  ['WHOST', 'WHOST=', /WHOST is not a host name/],
  ['WHOST', 'WHOST=avril.example', /POSTGRES_PASSWORD is still the example's/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD=pa$word', /line \d+: the line of POSTGRES_PASSWORD is not a setting/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD=pass#word', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD=`id`', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="pa$word"', /line \d+: the line of POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="a\\tb"', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="`id`"', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="a"b"', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="a" # b', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="a', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', "POSTGRES_PASSWORD='a\\\\'", /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', "POSTGRES_PASSWORD='a\rb'", /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD="a\rb"', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'POSTGRES_PASSWORD = x', /POSTGRES_PASSWORD/],
  ['POSTGRES_PASSWORD', 'export POSTGRES_PASSWORD=x', /line \d+/],
  ['BUCKET_NAME', 'BUCKET_NAME=avril\nBUCKET_NAME=other', /sets BUCKET_NAME again/],
] as const) {
  void test(`refuses ${JSON.stringify(line)}, with the line`, () => {
    const text = withLine(name, line)
    assert.match(refusal(text), message)
    assert.ok(!refusal(text).includes('pa$word'), 'a secret must not be shown')
  })
}

// A .env as a person brings it: all that is wrong with it is said at once, each thing once, in the order of the lines.
void test('all faults are told at once', () => {
  const text = example
    .replace(/^WHOST=.*$/m, 'WHOST=Avril.example')
    .replace(/^POSTGRES_DB=.*\n/m, '')
    .replace(/^NGINX_PORT=.*$/m, 'NGINX_PORT = 80')
    .replace(/^DRAIN_SECONDS=.*$/m, 'DRAIN_SECONDS=5\nDRAIN_SECONDS=6')
  const said = refusal(`${text}export MORE=1\nCOMPOSE_FILE=a.yml\nPOSTGRES_APP_USER=app\n`).split('\n')
  const found = said.map(line => /\b(?!NAME)[A-Z]{2}[A-Z_]+/.exec(line)?.[0])
  assert.equal(said[0], '.env has 11 faults:')
  assert.deepEqual(found.slice(1), [
    'WHOST',
    'NGINX_PORT',
    'DRAIN_SECONDS',
    'DRAIN_SECONDS',
    'POSTGRES_PASSWORD',
    'AWS_SECRET_ACCESS_KEY',
    'SECRET_KEY_BASE',
    'MORE',
    'COMPOSE_FILE',
    'POSTGRES_DB',
    'POSTGRES_APP_USER',
  ])
})

void test('an optional setting may be missing or empty, and is checked when it is there', () => {
  assert.equal(readSettings(example, example).BACKUP_MAX_DAYS, undefined)
  assert.equal(readSettings(`${example}BACKUP_MAX_DAYS=\n`, example).BACKUP_MAX_DAYS, undefined)
  assert.match(
    refusal(`${example}BACKUP_MAX_DAYS=never\n`),
    /line \d+: BACKUP_MAX_DAYS is not a whole number from 1 to 3650/,
  )
})

void test('single quotes keep what is special, as Compose reads it too', () => {
  assert.equal(
    readSettings(withLine('POSTGRES_PASSWORD', "POSTGRES_PASSWORD='p a$s#\"w`'"), example).POSTGRES_PASSWORD,
    'p a$s#"w`',
  )
})

const OPTIONS = [
  'WHOST_ALIASES',
  'CONTENT_SECURITY_POLICY',
  'REFERRER_POLICY',
  'FRAME_OPTIONS',
  'NGINX_LOG_DIR',
  'HTTP3',
  'ACME_DIRECTORY',
]
for (const line of [
  'WHOST_ALIASES=www.example.org,example.org',
  `CONTENT_SECURITY_POLICY="default-src 'self'; img-src 'self' data: https://*.example.org"`,
  'REFERRER_POLICY=no-referrer',
  'FRAME_OPTIONS=DENY',
  'HTTP3=on',
  'NGINX_LOG_DIR=/var/log/nginx',
  ...OPTIONS.map(name => `${name}=`),
]) {
  void test(`accepts ${line}`, () => void readSettings(`${example}${line}\n`, example))
}
for (const [line, words = /is not/] of [
  ['WHOST_ALIASES=a,'],
  ["WHOST_ALIASES='a b'"],
  ["WHOST_ALIASES='a;b'"],
  ['WHOST_ALIASES=WWW.example.org'],
  ['WHOST_ALIASES=www.example.org,localhost', /has localhost, which is no other name of the site/],
  ["CONTENT_SECURITY_POLICY='a\"; evil'"],
  ["CONTENT_SECURITY_POLICY='$host'"],
  ["CONTENT_SECURITY_POLICY='a\\b'"],
  ["CONTENT_SECURITY_POLICY='a\tb'"],
  ['CONTENT_SECURITY_POLICY="{}"'],
  ['REFERRER_POLICY=referrer'],
  ["REFERRER_POLICY='origin origin'"],
  ['FRAME_OPTIONS=ALLOWALL'],
  ['ACME_DIRECTORY=http://authority/dir', /ACME_DIRECTORY is not an address that begins with https/],
  ['HTTP3=true', /HTTP3 is not on or off/],
  ['NGINX_LOG_DIR=logs'],
  ['NGINX_LOG_DIR=/a:/b'],
  ['NGINX_LOG_DIR=/'],
] as [string, RegExp?][]) {
  void test(`refuses ${JSON.stringify(line)}`, () => assert.match(refusal(`${example}${line}\n`), words))
}

void test('lines are counted from 1, comments and empty lines included', () => {
  assert.deepEqual(
    [...linesOf('# a\n\nB=1\r\nC=\n').lines],
    [
      ['B', 3],
      ['C', 4],
    ],
  )
})
