import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwarderConfig } from '../../lib/setup/forwarder.ts'
import { certificatesIn } from '../../lib/setup/old_certificate.ts'

const way = (address: string, port: string, inner: string, to: string) => ({
  from: { address, port },
  inner,
  to: { address: undefined, port: to },
})

// Where the old nginx was published, the address of the new machine there, and what its forwarder listens on and leads
// to. Extend it by a line.
const FORWARDERS: [what: string, ways: ReturnType<typeof way>[], address: string, said: string[]][] = [
  [
    'both kinds of addresses become one port of the container',
    [way('0.0.0.0', '80', '80', '8080'), way('::', '80', '80', '8080'), way('', '443', '443', '443')],
    '192.0.2.1',
    ['listen 80', 'proxy_pass 192.0.2.1:8080', 'listen 443', 'proxy_pass 192.0.2.1:443'],
  ],
  [
    'IPv6 wants the network of the machine',
    [way('', '80', '80', '80')],
    '2001:db8::1',
    ['listen 80', 'proxy_pass [2001:db8::1]:80', 'listen [::]:80', 'proxy_pass [2001:db8::1]:80'],
  ],
  [
    'one address of it',
    [way('192.0.2.9', '80', '80', '81'), way('2001:db8::9', '80', '80', '81')],
    '2001:db8::1',
    ['listen 192.0.2.9:80', 'proxy_pass [2001:db8::1]:81', 'listen [2001:db8::9]:80', 'proxy_pass [2001:db8::1]:81'],
  ],
]

for (const [what, ways, address, said] of FORWARDERS)
  void test(`the forwarder on the old machine: ${what}`, () => {
    const config = forwarderConfig(ways, address)
    assert.deepEqual([...config.matchAll(/(?:listen|proxy_pass) [^;]+/g)].map(String), said)
  })

void test('certificates and keys of an nginx, wherever they stand in a line', () => {
  const config = `
  server { listen 443 ssl; ssl_certificate /ssl/a.crt; ssl_certificate_key "/ssl/a.key"; }
  server {
    ssl_certificate_key /ssl/b.key;
    ssl_certificate "/ssl/b.crt" ;
    ssl_certificate $variable;
  }
  ssl_certificate /ssl/a.crt;`
  assert.deepEqual(certificatesIn(config), {
    certificates: ['/ssl/a.crt', '/ssl/b.crt'],
    keys: ['/ssl/a.key', '/ssl/b.key'],
  })
})
