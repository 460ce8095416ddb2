// A certificate that renews itself: what certbot is asked and what its words mean, the rename, the entry of cron, and
// who hears of it.
import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { certonly, failureOfCertbot } from '../../lib/crypto/certbot.ts'
import { readPair } from '../../lib/crypto/certificate_pair.ts'
import { certificateCronText, cronText } from '../../lib/setup/cron.ts'
import { reportTo, SILENT } from '../../lib/system/progress.ts'
import { clearDamaged, namesToLeave } from '../../lib/setup/authority.ts'
import { publishPair } from '../../lib/setup/issued.ts'
import { isToBeTold, renewalNews } from '../../lib/setup/renewal.ts'
import { lifeTrouble } from '../../lib/status/certificate_status.ts'

reportTo(SILENT)

const request = {
  folder: '/root/ssl/certbot',
  names: ['avril.test', 'www.avril.test'] as [string, ...string[]],
  webroot: '/a site/static',
  directory: 'https://authority/dir',
  force: false,
}

void test('certbot accepts the terms of the authority only where a person has given an address', () => {
  assert.equal(certonly(request).includes('--agree-tos'), false)
  const words = certonly({ ...request, mail: 'admin@avril.test' })
  assert.deepEqual(words.slice(-4), ['--email', 'admin@avril.test', '--agree-tos', '--no-eff-email'])
  assert.equal(words.filter(word => word === '--domain').length, 2)
  assert.equal(words.includes('--force-renewal'), false)
  assert.equal(certonly({ ...request, force: true }).includes('--keep-until-expiring'), false)
})

// As certbot 5 writes it; before 5 the first word was Domain.
const refused = (type: string, detail: string, word = 'Identifier') =>
  `Renewing an existing certificate for avril.test\n\nCertbot failed to authenticate some domains (authenticator: ` +
  `webroot). The Certificate Authority reported these problems:\n  ${word}: avril.test\n  Type:   ${type}\n  ` +
  `Detail: ${detail}\n\nHint: The Certificate Authority failed to download …\n\nSome challenges have failed.\nAsk ` +
  `for help or search for solutions at https://community.letsencrypt.org.\n`
const unexpected = (words: string) =>
  `Saving debug log to /x\nAn unexpected error occurred:\n${words}\nAsk for help or …\n`

for (const [what, words, code, said, todo] of [
  [
    'a name without an address',
    refused('dns', 'DNS problem: NXDOMAIN looking up A for avril.test - check that a DNS record exists'),
    78,
    /^no certificate was given; .*\n {2}avril\.test: the DNS has no answer for it that leads anywhere \(dns: /,
    /dig \+short A avril\.test; /,
  ],
  [
    'the same of an authority that says it otherwise',
    refused('connection', 'Get "http://avril.test/": could not resolve URL "http://avril.test/"', 'Domain'),
    78,
    /the DNS has no answer/,
    /dig/,
  ],
  [
    'a closed port',
    refused(
      'connection',
      '203.0.113.9: Fetching http://avril.test/.well-known/acme-challenge/a_b-c: Timeout during connect',
    ),
    69,
    /the authority does not reach it by port 80 \(connection: .*avril\.test\/…: Timeout/,
    /firewall .*NGINX_BIND.*curl -I http:\/\/avril\.test\//,
  ],
  [
    'another machine',
    refused('unauthorized', '203.0.113.9: Invalid response from http://avril.test/x: 404'),
    78,
    /somebody else answers there/,
    /leads to another machine/,
  ],
  [
    'a CAA record',
    refused('caa', 'CAA record for avril.test prevents issuance'),
    78,
    /allows another authority alone/,
    /dig CAA avril\.test/,
  ],
  [
    'an authority that is down',
    unexpected(
      "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='a', port=443): Max retries exceeded with " +
        'url: /dir',
    ),
    69,
    /the authority does not answer/,
    /cron asks again/,
  ],
  [
    'one that this machine does not trust',
    unexpected(
      "requests.exceptions.SSLError: HTTPSConnectionPool(host='a'): Max retries exceeded (CERTIFICATE_VERIFY_FAILED)",
    ),
    78,
    /does not trust/,
    /update-ca-certificates/,
  ],
  [
    'asked too often',
    unexpected(
      'urn:ietf:params:acme:error:rateLimited :: too many failed authorizations (5) for "avril.test", retry after ' +
        '2026-12-01 10:00:00 UTC',
    ),
    69,
    /asked too often \(.*retry after 2026-12-01 10:00:00 UTC\)/,
    /wait as long as it says/,
  ],
  [
    'paused',
    unexpected('urn:ietf:params:acme:error:rateLimited :: Your account is temporarily prevented from requesting'),
    69,
    /has paused this account/,
    /a person must end the pause/,
  ],
  ['the word contact', unexpected('KeyError: contact the authors'), 1, /certbot failed \(KeyError/, /the log/],
  ['another certbot', 'Another instance of Certbot is already running.', 75, /another certbot is at work/, /has ended/],
  ['a full disk', unexpected('OSError: [Errno 28] No space left on device'), 74, /the disk is full/, /df -h/],
  [
    'no account',
    'You should register before running non-interactively, or provide --agree-tos and --email <email_address> flags.',
    78,
    /no account at the authority/,
    /--certificate <mail>/,
  ],
  [
    'no account, as certbot 4 says it',
    'You must agree in order to register with the ACME server. Do you agree?\n\n(You can set this with the ' +
      '--agree-tos flag)',
    78,
    /no account at the authority/,
    /--certificate <mail>/,
  ],
  ['what nobody foresaw', unexpected('KeyError: 1'), 1, /certbot failed \(KeyError: 1\)/, /the log/],
] as const)
  void test(`the words of certbot: ${what}`, () => {
    const failure = failureOfCertbot(words, ['avril.test', 'www.avril.test'], 'the log')
    assert.equal(failure.exitCode, code)
    assert.match(failure.message, said)
    assert.match(failure.hint ?? '', todo)
  })

const folder = mkdtempSync(join(tmpdir(), 'issued-'))
after(() => rmSync(folder, { recursive: true }))

void test('a pair is put in its place by one rename; the one before is kept, and nobody else can enter', () => {
  writeFileSync(join(folder, 'fullchain.pem'), "a person's")
  writeFileSync(join(folder, 'privkey.pem'), "a person's")
  const published = [1, 2, 3].map(number => {
    publishPair(folder, { certificate: `certificate ${number}`, key: `key ${number}` })
    return readlinkSync(join(folder, 'issued'))
  })
  assert.deepEqual(
    readdirSync(folder)
      .filter(name => name.startsWith('issued-'))
      .toSorted(),
    published.slice(1).toSorted(),
  )
  const [made = ''] = published.slice(-1)
  assert.equal(statSync(join(folder, made)).mode & 0o777, 0o700)
  assert.equal(statSync(join(folder, made, 'privkey.pem')).mode & 0o777, 0o600)
  const { names, certificate, key, open } = readPair(folder, 'avril.test') ?? {}
  assert.deepEqual(
    { names, certificate, key, open },
    { names: ['issued/fullchain.pem', 'issued/privkey.pem'], certificate: 'certificate 3', key: 'key 3', open: false },
  )
  rmSync(join(folder, 'issued'))
  assert.equal(readPair(folder, 'avril.test')?.certificate, readFileSync(join(folder, 'fullchain.pem'), 'utf8'))
})

void test('a pair takes the place of a folder that a copy has made of the link', () => {
  const copied = mkdtempSync(join(folder, 'site-'))
  mkdirSync(join(copied, 'issued'))
  publishPair(copied, { certificate: 'new', key: 'key' })
  assert.equal(readPair(copied, 'avril.test')?.certificate, 'new')
})

// what is in the configuration of certbot's lineage → whether the lineage stays
for (const [what, text, stays] of [
  ['whole', 'archive_dir = x\nfullchain = /ssl/certbot/live/avril.test/fullchain.pem\n', true],
  ['cut short', 'archive_dir = x\n', false],
  ['empty', '', false],
] as const)
  void test(`a lineage of certbot's whose configuration is ${what}`, () => {
    const certbot = mkdtempSync(join(folder, 'certbot-'))
    for (const name of ['renewal', 'live/avril.test', 'archive/avril.test'])
      mkdirSync(join(certbot, name), { recursive: true })
    writeFileSync(join(certbot, 'renewal', 'avril.test.conf'), text)
    clearDamaged(certbot, 'avril.test')
    for (const name of ['renewal/avril.test.conf', 'live/avril.test', 'archive/avril.test'])
      assert.equal(existsSync(join(certbot, name)), stays, name)
  })

// who is refused, what the present certificate has (undefined: there is none), hours of failure → who is left out
const NAMES = ['avril.test', 'www.avril.test', 'old.test'] as [string, ...string[]]
for (const [refused, has, hours, left] of [
  [['old.test'], undefined, 0, ['old.test']],
  [['old.test'], ['avril.test', 'www.avril.test'], 0, ['old.test']],
  [['old.test'], NAMES, 0, []],
  [['old.test'], NAMES, 13, ['old.test']],
  [['www.avril.test', 'old.test'], ['avril.test', 'www.avril.test'], 6, []],
  [['avril.test', 'old.test'], undefined, 99, []],
  [[], NAMES, 99, []],
  [[], ['avril.test', 'www.avril.test'], 0, []],
  [[], undefined, 0, []],
] as const)
  void test(`refused: ${refused.join(', ') || 'all'}, for ${hours} h, with a certificate for ${has?.join(', ') ?? 'nothing'}`, () =>
    assert.deepEqual(
      namesToLeave(NAMES, { refused: [...refused], error: 'down' }, has && [...has], hours * 3_600_000),
      left,
    ))

void test('a name of which the authority hears no more stays left out', () => {
  const told = { refused: [], error: 'temporarily prevented from requesting certificates for old.test' }
  assert.deepEqual(namesToLeave(NAMES, told, ['avril.test', 'www.avril.test'], 0), ['old.test'])
  assert.deepEqual(namesToLeave(NAMES, told, NAMES, 0), [])
})

// what was known before, who is left out now → what people hear
const LIFE = { until: '2027-02-27', days: 89, share: 1 }
const NEWS: [before: Parameters<typeof renewalNews>[1], without: string[], heard: RegExp][] = [
  [{}, [], /^$/],
  [{ told: '2026-11-29T06:00:00Z' }, [], /^✓ the certificate was renewed, and lasts until 2027-02-27 \(89 days\)$/],
  [{}, ['old.test'], /^✗ the certificate is not for old\.test, and browsers refuse them: .* WHOST_ALIASES/],
  [{ without: ['old.test'] }, ['old.test'], /^$/],
  [{ without: ['old.test'] }, [], /^✓ the certificate was renewed for all names of the site/],
]
for (const [before, without, heard] of NEWS)
  void test(`a renewal without ${without.join() || 'nobody'}, after ${JSON.stringify(before)}`, () => {
    const news = renewalNews({ isNew: true, reloaded: false, life: LIFE, without }, before)
    assert.match(news ? `${news.good ? '✓' : '✗'} ${news.text}` : '', heard)
  })

void test('cron asks four times a day, each site at a minute of its own, and a failure is mailed', () => {
  const text = certificateCronText('avril.test')
  const [, minute, hours = ''] = /^(\d+) ([\d,]+) \* \* \* root cd '/m.exec(text) ?? []
  assert.ok(Number(minute) < 60)
  assert.equal(hours.split(',').length, 4)
  assert.ok(hours.split(',').every(hour => Number(hour) < 24))
  assert.match(
    text,
    /scripts\/setup\.ts "\$@"; \}; run --renew >.*certificate\.log 2>&1 \|\| \{ cat .*; failed=1; \}; exit \$failed$/m,
  )
  assert.notEqual(text, certificateCronText('other.test'))
  for (const entry of [text, cronText('03:15')])
    assert.ok(
      entry.split('\n').every(line => line.length < 1000),
      'some crons take no more',
    )
})

const NOW = new Date('2026-11-29T12:00:00Z')
for (const [what, share, told, expected] of [
  ['early in its life', 0.3, undefined, false],
  ['late', 0.24, undefined, true],
  ['late, and told this morning', 0.24, '2026-11-29T06:00:00Z', false],
  ['late, and told yesterday', 0.2, '2026-11-28T12:00:00Z', true],
  ['expired', -1, undefined, true],
  ['none that can be read', undefined, undefined, true],
] as const)
  void test(`people hear of a renewal that failed: ${what}`, () =>
    assert.equal(
      isToBeTold(
        share === undefined ? undefined : { until: '', days: Math.floor(90 * share), share },
        { time: '2026-11-29T06:00:00Z', ...(told && { told }) },
        NOW,
      ),
      expected,
    ))

for (const [what, days, share, renewsItself, expected] of [
  ['young', 80, 0.9, true, null],
  ['due', 28, 0.3, true, null],
  ['late', 20, 0.22, true, 'expires in 20 days, and was not renewed; its renewal has failed for '],
  ['late, of one that lasts 200 days, and certbot begins 30 days before', 49, 0.24, true, null],
  ['late, but a person replaces it', 20, 0.22, false, null],
  ['expired', -1, -0.01, false, 'expired on 2026-11-01'],
] as const)
  void test(`what is wrong with a certificate that is ${what}`, () => {
    const renewal = { time: '2026-11-29T06:00:00Z', error: 'x', since: '2026-11-20T06:00:00Z' }
    const said = lifeTrouble({ until: '2026-11-01', days, share }, renewsItself, renewal)
    assert.equal(said?.slice(0, expected?.length) ?? null, expected)
  })
