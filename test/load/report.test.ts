import { deepEqual, doesNotThrow, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  assertRan,
  between,
  forgiveCuts,
  instancesIn,
  percentile,
  reportOf,
  type Row,
  splitByMarks,
  timelineOf,
} from './report.ts'

const row = (at: number, change: Partial<Row> = {}): Row => ({
  at,
  kind: 'keepalive',
  late: 0,
  latency: 10,
  ok: true,
  outcome: '200',
  instance: '',
  reused: true,
  ...change,
})

const run = { startedAt: '2026-01-01T00:00:00.000Z', rate: 10, seconds: 1, marks: [], websocketReconnects: [] }

void test('percentiles are nearest-rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
  deepEqual(
    [50, 99, 100].map(percent => percentile(hundred, percent)),
    [50, 99, 100],
  )
  deepEqual(
    [50, 99, 100].map(percent => percentile([7], percent)),
    [7, 7, 7],
  )
  equal(percentile([1, 2, 3, 4], 50), 2)
  equal(percentile([], 99), 0)
})

void test('a segment has what was due in it; slow requests and websockets are not among the fast ones', () => {
  const others = [row(50, { kind: 'slow', latency: 3000 }), row(60, { kind: 'websocket', latency: 900 })]
  const segment = between([row(0), row(99.9, { latency: 20 }), row(100), ...others], 0, 100, 'a')
  deepEqual([segment.sent, segment.max, segment.fast.sent, segment.fast.p99], [4, 3000, 2, 20])
})

void test('failed requests are counted, and left out of the latencies', () => {
  const { sent, answered, failed, max } = between(
    [row(1), row(2, { ok: false, outcome: 'timeout', latency: 30_000 })],
    0,
    10,
  )
  deepEqual([sent, answered, failed, max], [2, 1, 1, 10])
})

void test('a websocket may be cut when its drain time is over, and not before; nothing else is forgiven', () => {
  const answers = [row(0, { instance: 'a' }), row(5000, { instance: 'b' })]
  const cut = (at: number, change: Partial<Row> = {}) =>
    row(at, { kind: 'websocket', ok: false, outcome: 'closed with 1006', instance: 'a', ...change })
  const lost = (rows: Row[]) =>
    forgiveCuts([...answers, ...rows], 10)
      .filter(({ ok }) => !ok)
      .map(({ at }) => at)
  deepEqual(lost([cut(15_000), cut(20_000)]), [])
  deepEqual(
    lost([cut(5100), cut(14_400), cut(15_000, { instance: 'b' }), cut(15_001, { instance: '' })]),
    [5100, 14_400, 15_000, 15_001],
  )
  deepEqual(
    lost([cut(15_000, { kind: 'post', outcome: 'ECONNRESET' }), cut(15_000, { outcome: 'wrong echo' })]),
    [15_000, 15_000],
  )
})

void test('marks split a report, whatever their order; nothing is counted twice', () => {
  const marks = [
    { at: 600, label: 'after' },
    { at: 300, label: 'rollout' },
  ]
  const rows = [row(0), row(299), row(300, { latency: 40 }), row(600), row(999)]
  const segments = splitByMarks({ rows, marks, seconds: 1 })
  deepEqual(
    segments.map(({ label, sent }) => [label, sent]),
    [
      ['before', 2],
      ['rollout', 1],
      ['after', 2],
    ],
  )
  equal(segments[1]?.fast.p99, 40)
})

void test('the timeline counts each request once, in the step in which it was due', () => {
  const rows = [row(0), row(99), row(100, { ok: false }), row(250), row(1000.4)]
  deepEqual(timelineOf(rows, 0.3), [
    { answered: 2, failed: 0 },
    { answered: 0, failed: 1 },
    { answered: 2, failed: 0 },
  ])
  equal(timelineOf(rows, 1, 500).length, 2)
})

void test('instances in order, each with its first and last answer', () => {
  const rows = ['a', 'b', 'a', '', 'b'].map((instance, index) => row(index + 1, { instance }))
  deepEqual(instancesIn(rows), [
    { instance: 'a', first: 1, last: 3, answered: 2 },
    { instance: 'b', first: 2, last: 5, answered: 2 },
  ])
})

void test('the first 20 failures are listed in order of time', () => {
  const rows = Array.from({ length: 30 }, (_, index) => row(30 - index, { ok: false, outcome: '502' }))
  const report = reportOf(rows, run)
  equal(report.failed, 30)
  deepEqual([report.failures.length, report.failures[0]?.at, report.failures[19]?.at], [20, 1, 20])
})

void test('a load that did not run is no proof', () => {
  const rows = Array.from({ length: 10 }, (_, index) => row(index))
  doesNotThrow(() => assertRan(reportOf(rows, run)))
  throws(() => assertRan(reportOf(rows.slice(1), run)), /9 requests sent, 10 planned/)
  throws(() => assertRan(reportOf([...rows.slice(1), row(3, { kind: 'handshake' })], run)), /9 requests sent/)
  throws(() => assertRan(reportOf([], { ...run, seconds: 0 })), /0 planned/)
  const fresh = Array.from({ length: 200 }, (_, index) => row(index, { reused: false }))
  throws(() => assertRan(reportOf(fresh, { ...run, rate: 200 })), /no connection was reused/)
})
