// What a visitor from outside would meet, asked of real servers, with real certificates.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { certificateTrouble } from '../../lib/status/shown_certificate.ts'
import type { SiteAddress } from '../../lib/status/site_address.ts'
import { visit, visitByIpv6 } from '../../lib/status/visitor.ts'

const folder = mkdtempSync(join(tmpdir(), 'visitor-'))
after(() => rmSync(folder, { recursive: true }))

/** A self-made certificate for a name, and its key. */
const certify = (name: string, days: number) => {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)]
  const words =
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ${key} -out ${cert} -days ${days} ` +
    `-subj /CN=${name} -addext subjectAltName=DNS:${name}`
  execFileSync('openssl', words.split(' '), { stdio: 'ignore' })
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

const listen = async (server: Server, address = '127.0.0.1') => {
  await new Promise<void>(done => server.listen(0, address, done))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const site: RequestListener = (request, response) => {
  const answers: Record<string, [status: number, location?: string]> = {
    '/': [200],
    '/login': [302, '/session?user=anne'],
    '/session?user=anne': [200],
    '/away': [302, 'https://elsewhere.example/'],
    '/round': [302, '/round?again'],
    '/round?again': [302, '/round'],
    '/broken': [502],
    '/then-broken': [302, '/broken'],
  }
  const [status, location] = answers[request.url ?? ''] ?? [404]
  response.writeHead(status, location === undefined ? {} : { location }).end('a page')
}

const plain = await listen(createServer(site))
const own = await listen(createTlsServer(certify('localhost', 90), site))
const dead = await listen(
  createServer((request, response) => void response.socket?.destroy(request.errored ?? undefined)),
)

const pages = (...paths: string[]) =>
  paths.map(path => ({ service: 'phoenix', test: { path, status: undefined, words: '' } }))
const place = (change: Partial<SiteAddress>): SiteAddress => ({
  scheme: 'http',
  host: 'localhost',
  port: plain,
  here: { address: '127.0.0.1', port: plain },
  ...change,
})

// path → what visitors are said to get; empty when it is well
const PAGES: [path: string, trouble: string][] = [
  ['/', ''],
  ['/login', ''],
  ['/away', ''],
  ['/round', '/round redirects in a circle (to /round)'],
  ['/broken', '/broken is answered with 502, not with a page'],
  ['/then-broken', '/broken is answered with 502, not with a page'],
  ['/missing', '/missing is answered with 404, not with a page'],
]
for (const [path, trouble] of PAGES)
  void test(`visitors of ${path}: ${trouble || 'well'}`, async () => {
    const { troubles } = await visit(place({}), pages(path), false)
    assert.deepEqual(
      troubles.map(({ text }) => text),
      trouble === '' ? [] : [`visitors of phoenix: ${trouble}`],
    )
  })

// The .invalid names are in no DNS; 127.0.0.2 has nothing at the port of the site.
const PLACES: [
  name: string,
  change: Partial<SiteAddress>,
  wasByName: boolean,
  found: { troubles: string[]; notes: string[] },
][] = [
  [
    'a self-made certificate counts, and is noted',
    { scheme: 'https', port: own },
    false,
    {
      troubles: [],
      notes: ['the certificate is self-made: browsers warn each visitor of it'],
    },
  ],
  [
    'a server that cuts the connection',
    { port: dead },
    false,
    {
      troubles: ['the site does not answer: localhost cuts the connection before it has answered'],
      notes: [],
    },
  ],
  [
    'nothing listens',
    { port: 1 },
    false,
    {
      troubles: ['the site does not answer: localhost refuses connections: nothing listens there'],
      notes: [],
    },
  ],
  [
    'a certificate for another name',
    { scheme: 'https', host: '127.0.0.1', port: own },
    false,
    {
      troubles: ['the certificate is not for 127.0.0.1, but for DNS:localhost'],
      notes: ['the certificate is self-made: browsers warn each visitor of it'],
    },
  ],
  [
    'a name whose address is out of reach from here: nginx is asked on this machine',
    { host: '127.0.0.2', port: 1 },
    false,
    {
      troubles: [],
      notes: [
        'from this server 127.0.0.2 (127.0.0.2) refuses connections: nothing listens there, so nginx was asked at ' +
          '127.0.0.1; whether visitors reach it cannot be told from here',
      ],
    },
  ],
  [
    'the same, where the name has led here before',
    { host: '127.0.0.2', port: 1 },
    true,
    {
      troubles: [
        'visitors do not find the site: 127.0.0.2 (127.0.0.2) refuses connections: nothing listens there; on this ' +
          'machine nginx answers',
      ],
      notes: [],
    },
  ],
]
for (const [name, change, wasByName, found] of PLACES)
  void test(name, async () => {
    const { troubles, notes } = await visit(place(change), pages('/'), wasByName)
    assert.deepEqual({ troubles: troubles.map(({ text }) => text), notes }, found)
  })

const ofIpv6 = await listen(createServer(site), '::1')
// what the name has beside the address that was asked, whether this machine has IPv6, the port → what is said
const BY_IPV6: [others: string[], canReach: boolean, port: number, trouble: string, note: string][] = [
  [[], true, ofIpv6, '', ''],
  [['127.0.0.1'], true, 1, '', ''],
  [['127.0.0.1', '::1'], true, ofIpv6, '', ''],
  [['::1'], true, 1, 'visitors with IPv6: localhost (::1, IPv6) refuses connections: nothing listens there', ''],
  [
    ['::1'],
    false,
    1,
    '',
    'this server has no IPv6: whether visitors reach localhost (::1, IPv6) cannot be told from here',
  ],
]
for (const [others, canReach, port, trouble, note] of BY_IPV6)
  void test(`by IPv6 at ${others.join(', ') || 'no address'}: ${trouble || note || 'well'}`, async () => {
    const { troubles, notes } = await visitByIpv6(place({ port }), '/', others, canReach)
    assert.deepEqual([troubles.map(({ text }) => text).join(), notes.join()], [trouble, note])
  })

// after how many days, why Node would refuse it → what is said
const certificate = new X509Certificate(certify('site.example', 90).cert)
const CERTIFICATES: [days: number, refusal: string, said: string | undefined, slow?: boolean][] = [
  [0, '', undefined],
  [0, 'DEPTH_ZERO_SELF_SIGNED_CERT', undefined],
  [0, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'lacks its intermediate certificate', false],
  [80.5, '', 'expires on', true],
  [90.5, 'CERT_HAS_EXPIRED', 'expired on', false],
  [-1, '', 'is not valid before', false],
]
for (const [days, refusal, said, slow] of CERTIFICATES)
  void test(`a certificate after ${days} days, ${refusal || 'trusted'}: ${said ?? 'well'}`, () => {
    const now = Date.now() + days * 86_400_000
    const trouble = certificateTrouble('site.example', { certificate, refusal }, now)
    assert.equal(trouble?.text.startsWith(`the certificate ${said}`), said === undefined ? undefined : true)
    assert.equal(trouble?.slow, said === undefined ? undefined : slow)
  })

void test('a certificate that lasts 40 days is told of when a quarter of them is left', () => {
  const brief = { certificate: new X509Certificate(certify('brief.example', 40).cert), refusal: '' }
  const after = (days: number) => certificateTrouble('brief.example', brief, Date.now() + days * 86_400_000)
  assert.equal(after(28), undefined)
  assert.match(after(31)?.text ?? '', /expires on/)
})
