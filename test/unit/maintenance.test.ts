// What closes the site: the words of maintenance.ts, and the page that comes of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closureOf, maintenanceText } from '../../lib/cli/maintenance_report.ts'
import { hasOverrun, type Maintenance, maintenancePage } from '../../lib/nginx/maintenance.ts'
import { Failure } from '../../lib/system/errors.ts'
import { isIn, readNetwork } from '../../lib/system/networks.ts'
import { frenchTime, readTime } from '../../lib/system/site_time.ts'

const isUsage = (error: unknown) => error instanceof Failure && error.exitCode === 64

// In Paris it is 18:00 on a Sunday.
const NOW = new Date('2026-11-29T17:00:00Z')

for (const [text, time, french] of [
  ['18:30', '2026-11-29T17:30', '18 h 30'],
  ['20:00', '2026-11-29T19:00', '20 h'],
  ['8:05', '2026-11-30T07:05', 'lundi 30 novembre à 8 h 05'],
  ['18:00', '2026-11-30T17:00', 'lundi 30 novembre à 18 h'],
  ['2026-12-01 06:00', '2026-12-01T05:00', 'mardi 1er décembre à 6 h'],
  ['2027-07-01T00:00', '2027-06-30T22:00', 'jeudi 1er juillet à 0 h'],
  // An hour that summer time leaves out, and one that comes twice when it ends.
  ['2027-03-28 02:30', '2027-03-28T01:30', 'dimanche 28 mars à 3 h 30'],
  ['2027-10-31 02:30', '2027-10-31T00:30', 'dimanche 31 octobre à 2 h 30'],
  ['45m', '2026-11-29T17:45', '18 h 45'],
  ['2h', '2026-11-29T19:00', '20 h'],
  ['1d', '2026-11-30T17:00', 'lundi 30 novembre à 18 h'],
] as const)
  void test(`${text} is ${time} (UTC), and ${french} for visitors`, () => {
    const read = readTime(text, NOW)
    assert.equal(read.toISOString().slice(0, 16), time)
    assert.equal(frenchTime(read, NOW), french)
  })

for (const text of [
  '',
  'soon',
  '25:00',
  '14:60',
  '14h30',
  '2026-11-29 17:59',
  '2026-11-31 06:00',
  '2026-13-01 06:00',
  '-2h',
  '0m',
])
  void test(`${JSON.stringify(text)} is no time to come back at`, () =>
    assert.throws(() => readTime(text, NOW), isUsage))

for (const [network, inside, outside] of [
  ['192.0.2.7', '192.0.2.7', '192.0.2.8'],
  ['192.0.2.77/24', '192.0.2.1', '192.0.3.1'],
  ['10.0.0.0/9', '10.127.0.1', '10.128.0.1'],
  ['2001:db8::7', '2001:DB8:0::7', '2001:db8::8'],
  ['2001:db8::/32', '2001:db8:ffff::1', '2001:db9::1'],
  ['::ffff:192.0.2.0/120', '192.0.2.200', '192.0.3.1'],
  ['0.0.0.0/0', '198.51.100.1', '2001:db8::1'],
] as const)
  void test(`${inside} is in ${network}, ${outside} is not`, () => {
    assert.ok(isIn(inside, readNetwork(network)))
    assert.ok(!isIn(outside, readNetwork(network)))
  })

for (const text of [
  '',
  'localhost',
  '1.2.3',
  '1.2.3.4/33',
  '::1/129',
  'fe80::1%eth0',
  '1.2.3.4;',
  '010.0.0.1',
  '[::1]',
])
  void test(`${JSON.stringify(text)} is no network`, () => assert.throws(() => readNetwork(text), isUsage))

const SETTINGS = {
  WHOST: 'avril.test',
  WHOST_ALIASES: ['www.avril.test', 'Avril.Example'],
  FORWARDED_FROM: '198.51.100.9',
}
const WORDS = { url: undefined, message: undefined, until: undefined, allow: [] }

for (const [what, words] of Object.entries({
  'an address of another scheme': { url: 'javascript:alert(1)' },
  'an address with a password': { url: 'https://a:b@example.org' },
  'no address': { url: 'example.org' },
  'the site itself': { url: 'https://www.avril.test/x' },
  'another name of it, which .env has with capitals': { url: 'https://avril.example/' },
  'the site itself, with a dot': { url: 'https://avril.test./' },
  "Docker's own network": { allow: ['172.16.0.0/12'] },
  'the machine that hands all visitors on': { allow: ['198.51.100.0/24'] },
}))
  void test(`the site is not closed with ${what}`, () =>
    assert.throws(() => closureOf({ ...WORDS, ...words }, SETTINGS, ['172.20.0.5']), isUsage))

const closed = (more: Partial<Maintenance> = {}): Maintenance => ({
  since: NOW.toISOString(),
  who: 'ana',
  url: null,
  message: null,
  until: null,
  allow: [],
  ...more,
})

void test('an address goes to visitors as a URL is written, so that nothing in it ends a header', () => {
  assert.equal(
    closureOf({ ...WORDS, url: 'https://EXAMPLE.org/é a' }, SETTINGS, []).url,
    'https://example.org/%C3%A9%20a',
  )
})

void test('the page has the message as text, and the time; without them what is always true', () => {
  const page = maintenancePage(
    closed({ message: '<script>$&</script> "c’est l\'heure"', until: '2026-11-29T19:00:00Z' }),
  )
  assert.match(page, /<p id="message">&lt;script&gt;\$&amp;&lt;\/script&gt; &quot;c’est l&#39;heure&quot;<\/p>/)
  assert.match(page, /<strong id="until">Le service devrait être de retour vers 20 h\.<\/strong>/)
  assert.match(maintenancePage(closed({ until: '2026-11-30T05:00:00Z' })), /de retour le lundi 30 novembre à 6 h\./)
  assert.match(maintenancePage(closed()), /<strong id="until">Revenez dans quelques minutes\.<\/strong>/)
})

void test('what is still on after its time is told', () => {
  const late = closed({ until: '2026-11-29T17:30:00Z' })
  assert.ok(!hasOverrun(late, NOW))
  assert.ok(hasOverrun(late, new Date('2026-11-29T17:30:00Z')))
  assert.match(maintenanceText(closed({ until: '2020-01-01T00:00:00Z' })), /was to be over at .*, and is still on/)
})
