import assert from 'node:assert/strict'
import { test } from 'node:test'
import { historyPage } from '../../lib/cli/history_page.ts'
import { historyText } from '../../lib/cli/history_report.ts'
import { type Entry, entryOf } from '../../lib/deploy/history.ts'
import { timelineOf } from '../../lib/deploy/timeline.ts'
import type { Served } from '../../lib/nginx/traffic.ts'

const START = Date.parse('2026-11-28T20:00:00Z')
const entry: Entry = {
  ...entryOf(
    {
      who: 'anne',
      repository: 'avril',
      service: 'phoenix',
      from: 'avril-phoenix:aaaa',
      to: 'avril-phoenix:bbbb',
      since: '2026-11-28T20:00:00.000Z',
      pid: 1,
      phase: 'tidy',
      phases: { build: 12.3, observe: 30 },
      revision: null,
      rollback: false,
      next: null,
      visits: {
        before: { requests: 1500, failed: 0, p50: 0.01, p99: 0.02 },
        during: { requests: 9000, failed: 3, p50: 0.01, p99: 0.05 },
      },
    },
    'deployed',
  ),
  time: '2026-11-28T20:01:00.000Z',
}
const served = (second: number, address: string, status = 200): Served => ({
  at: START + second * 1000 + 500,
  client: '203.0.113.7',
  path: '/',
  status,
  address,
  seconds: 0.1 * (second + 1),
  complete: true,
})
const names = new Map([
  ['10.0.0.2', 'avril-phoenix-1'],
  ['10.0.0.3', 'avril-phoenix-2'],
])

void test('a timeline tells each second of each instance, and nothing of others', () => {
  const timeline = timelineOf(
    [
      served(0, '10.0.0.2'),
      served(0, '10.0.0.2', 502),
      served(1, '10.0.0.3'),
      served(1, '10.0.0.9'),
      served(-1, '10.0.0.2'),
    ],
    names,
    START,
    [{ phase: 'switch', at: START + 1000 }],
  )
  assert.deepEqual(timeline.seconds, [
    { second: 0, instance: 'avril-phoenix-1', requests: 2, failed: 1, p99: 0.1 },
    { second: 1, instance: 'avril-phoenix-2', requests: 1, failed: 0, p99: 0.2 },
  ])
})

void test('the table has what came of a deploy and what its visitors got', () => {
  assert.equal(historyText([]), 'no deploy yet')
  assert.equal(
    historyText([entry]),
    '  UTC\n✓ 2026-11-28 20:01  avril  aaaa → bbbb  42.3 s  3 of 9,000 failed, p99 0.02 → 0.05 s  deployed  anne',
  )
  const failed: Entry = {
    ...entry,
    result: 'failed',
    phase: 'observe',
    error: 'worse',
    visits: { before: null, during: null },
  }
  assert.match(historyText([failed, entry]), /^ {2}UTC\n✗ .*failed in observe: worse  anne\n✓ /)
})

void test('the page stands alone, runs nothing, and takes nothing that it shows for more than text', () => {
  const hostile: Entry = {
    ...entry,
    who: '<script>alert(1)</script>',
    error: '"><img src=x>',
    phase: 'build',
    result: 'failed',
  }
  const timeline = timelineOf([served(0, '10.0.0.2'), served(3, '10.0.0.3', 500)], names, START, [
    { phase: 'switch', at: START + 1000 },
    { phase: 'observe', at: START + 1100 },
  ])
  const page = historyPage('avril', [
    { entry: hostile, timeline },
    { entry, timeline: undefined },
  ])
  assert.doesNotMatch(page, /<script|<img|https?:|url\(|@import| on\w+=/)
  assert.match(page, /default-src 'none'/)
  assert.match(page, /observe/)
  assert.equal(page.match(/<svg/g)?.length, 1)
  assert.equal(page.match(/<circle/g)?.length, 2)
  // Each number of the drawing is one.
  assert.doesNotMatch(page, /NaN|Infinity|undefined/)
  assert.ok(page.indexOf('avril · 2026') < page.indexOf('No picture'))
})
