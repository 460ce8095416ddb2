// What a run of the load generator comes to: pure functions over its records.
import type { Kind } from './schedule.ts'
import type { Closing } from './websocket.ts'

/**
 * One request. Times are ms since the start; latency counts from when it was due, so a generator or a server that lags
 * shows.
 */
export interface Row {
  at: number
  kind: Kind | 'handshake'
  /** how late the generator itself was */
  late: number
  latency: number
  ok: boolean
  outcome: string
  instance: string
  reused: boolean
}

export interface Mark {
  at: number
  label: string
}

/** What is known of a run beside its records. */
export interface Run {
  startedAt: string
  rate: number
  seconds: number
  marks: Mark[]
  websocketReconnects: Closing[]
}

/** Latencies are those of the requests that were answered: what failed is counted, not averaged. */
export interface Stats {
  sent: number
  answered: number
  failed: number
  p50: number
  p99: number
  max: number
}

export interface Segment extends Stats {
  label: string
  from: number
  to: number
  /** without those that are slow on purpose, and without websockets */
  fast: Stats
}

const FAST = new Set<Row['kind']>(['keepalive', 'idle', 'post', 'fresh'])
const LISTED = 20
export const STEP = 100

/** The nearest-rank percentile of numbers in ascending order; 0 when there are none. */
export function percentile(sorted: readonly number[], percent: number) {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0
}

const ascending = (values: number[]) => values.toSorted((a, b) => a - b)

export function statsOf(rows: readonly Row[]): Stats {
  const latencies = ascending(rows.filter(({ ok }) => ok).map(({ latency }) => latency))
  const answered = latencies.length
  const of = (percent: number) => percentile(latencies, percent)
  return { sent: rows.length, answered, failed: rows.length - answered, p50: of(50), p99: of(99), max: of(100) }
}

const SOON = 500

/**
 * Leaves a websocket's message out of what failed when its connection was cut after the drain time (s), counted from
 * the first answer of the instance that came next: so long a rollout promises to keep it, and what is on its way at
 * that moment nobody can save.
 */
export function forgiveCuts(rows: readonly Row[], drain: number): Row[] {
  const began = new Map<string, number>()
  for (const { instance, ok, at, latency } of rows)
    if (ok && instance !== '') began.set(instance, Math.min(began.get(instance) ?? Infinity, at + latency))
  const nextAfter = (instance: string) =>
    Math.min(...[...began.values()].filter(at => at > (began.get(instance) ?? Infinity)))
  const isCut = ({ kind, outcome, at, latency, instance }: Row) =>
    kind === 'websocket' &&
    outcome.startsWith('closed with ') &&
    at + latency - nextAfter(instance) >= drain * 1000 - SOON
  return rows.map(row => (isCut(row) ? { ...row, ok: true, outcome: 'cut after the drain time' } : row))
}

/** The requests that were due in [from, to). */
export function between(rows: readonly Row[], from: number, to: number, label = ''): Segment {
  const inside = rows.filter(({ at }) => at >= from && at < to)
  return { label, from, to, ...statsOf(inside), fast: statsOf(inside.filter(({ kind }) => FAST.has(kind))) }
}

/**
 * One segment from each mark to the next, and one before the first (`before`), each with the requests that were due in
 * it.
 */
export function splitByMarks({ rows, marks, seconds }: Pick<Report, 'rows' | 'marks' | 'seconds'>) {
  const bounds = [{ at: 0, label: 'before' }, ...marks.toSorted((a, b) => a.at - b.at)]
  return bounds.map(({ at, label }, index) => between(rows, at, bounds[index + 1]?.at ?? seconds * 1000, label))
}

/** Answered and failed in each step (ms) of the time, by when they were due. */
export function timelineOf(rows: readonly Row[], seconds: number, step = STEP) {
  const line = Array.from({ length: Math.ceil((seconds * 1000) / step) }, () => ({ answered: 0, failed: 0 }))
  for (const { at, ok } of rows) {
    const point = line[Math.min(line.length - 1, Math.floor(at / step))]
    if (point !== undefined) point[ok ? 'answered' : 'failed'] += 1
  }
  return line
}

/**
 * The instances in the order of their first request, with the time of the first and the last one that they answered.
 */
export function instancesIn(rows: readonly Row[]) {
  const seen = new Map<string, { instance: string; first: number; last: number; answered: number }>()
  for (const { at, instance } of rows.filter(row => row.instance !== '')) {
    const entry = seen.get(instance) ?? { instance, first: at, last: at, answered: 0 }
    seen.set(instance, { ...entry, last: at, answered: entry.answered + 1 })
  }
  return [...seen.values()]
}

const failuresIn = (rows: readonly Row[]) => {
  const failed = rows.filter(({ ok }) => !ok).slice(0, LISTED)
  return failed.map(({ at, kind, outcome, instance, reused }) => ({ at, kind, code: outcome, instance, reused }))
}

/** The report of a run. Handshakes of the websocket are extra: they are sent when it was closed, not by plan. */
export function reportOf(records: readonly Row[], run: Run) {
  const rows = records.toSorted((a, b) => a.at - b.at)
  const of = (kind: Row['kind']) => statsOf(rows.filter(row => row.kind === kind))
  const { sent, answered, failed } = statsOf(rows)
  const lateness = ascending(rows.map(({ late }) => late))
  return {
    ...run,
    planned: Math.floor(run.rate * run.seconds),
    sent,
    answered,
    failed,
    failures: failuresIn(rows),
    kinds: {
      keepalive: of('keepalive'),
      idle: of('idle'),
      post: of('post'),
      fresh: of('fresh'),
      slow: of('slow'),
      websocket: of('websocket'),
      upload: of('upload'),
      download: of('download'),
      handshake: of('handshake'),
    },
    instances: instancesIn(rows),
    reused: rows.filter(({ kind, reused }) => reused && kind !== 'websocket').length,
    lateness: { p99: percentile(lateness, 99), max: percentile(lateness, 100) },
    timeline: timelineOf(rows, run.seconds),
    rows,
  }
}

export type Report = ReturnType<typeof reportOf>

/** Throws unless the load was real: as many requests as planned, on reused connections too. */
export function assertRan({ planned, sent, reused, kinds }: Pick<Report, 'planned' | 'sent' | 'reused' | 'kinds'>) {
  const requests = sent - kinds.handshake.sent
  if (planned < 1 || requests < planned)
    throw new Error(`the load did not run: ${requests} requests sent, ${planned} planned`)
  if (kinds.keepalive.sent > 100 && reused === 0) throw new Error('no connection was reused: no reset could be seen')
}
