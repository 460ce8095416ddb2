// What a look makes of what it finds: what counts, in which order, and how often it is said.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Maintenance } from '../../lib/nginx/maintenance.ts'
import { causesFirst, excuseNow, lookAtMaintenance } from '../../lib/status/look.ts'
import { judgeLook, pauseAfter } from '../../lib/status/watch.ts'

const closed = (more: Partial<Maintenance>): Maintenance => ({
  since: '2026-11-29T17:00:00Z',
  who: 'ana',
  url: null,
  message: null,
  until: null,
  allow: [],
  ...more,
})

// how the site is closed → whether that itself is a trouble, and the excuse for others (of a machine that has just
// started that)
const CLOSED: [name: string, maintenance: Maintenance | undefined, trouble: boolean, excuse: RegExp][] = [
  ['open', undefined, false, /^(undefined|the machine has just started)$/],
  ['for a while', closed({}), false, /^maintenance is on$/],
  ['until tomorrow', closed({ until: new Date(Date.now() + 86_400_000).toISOString() }), false, /^maintenance is on$/],
  ['until yesterday', closed({ until: '2026-01-01T00:00:00Z' }), true, /^(undefined|the machine has just started)$/],
  ['for good', closed({ url: 'https://example.org/' }), false, /^the site is closed for good$/],
]
for (const [name, maintenance, trouble, excuse] of CLOSED)
  void test(`the site is closed: ${name}`, () => {
    assert.equal(lookAtMaintenance(maintenance).length > 0, trouble)
    assert.match(String(excuseNow(maintenance)), excuse)
  })

void test('what the apps are ill of is named before them', () =>
  assert.deepEqual(causesFirst(['nginx', 'phoenix', 'postgres'], [{ service: 'phoenix' }]), [
    'nginx',
    'postgres',
    'phoenix',
  ]))

// the excuse → what is told when postgres is stopped and the backup is old, for the second time
for (const [excuse, told] of [
  [undefined, ['postgres is not running', 'the backup is old']],
  ['maintenance is on', ['the backup is old']],
] as const)
  void test(`what can wait has no excuse (${excuse ?? 'none'})`, () => {
    const troubles = [
      { about: 'postgres', text: 'postgres is not running' },
      { about: 'backups', text: 'the backup is old', slow: true },
    ]
    const found = { troubles, excuse }
    const first = judgeLook({}, found, new Date('2026-11-29T17:00:00Z'), 4)
    const { news, isExcused } = judgeLook(first.known, found, new Date('2026-11-29T17:01:00Z'), 4)
    assert.equal(isExcused, excuse !== undefined)
    for (const { text } of troubles) assert.equal(news?.text.includes(text), (told as readonly string[]).includes(text))
  })

void test('what a webhook did not take is sent at the next look, and then less and less often', () =>
  assert.deepEqual([1, 2, 3, 4, 5, 9].map(pauseAfter), [0, 1, 3, 7, 14, 14]))
