// Keeps the record of every request, and tells how many are still without an answer.
import { between, type Row } from './report.ts'
import type { Answer } from './request.ts'

/** `start` is the time that all records count from (performance.now). */
export function recorder(start: number) {
  const rows: Row[] = []
  const counts = { sent: 0, answered: 0, failed: 0 }
  const waiters: (() => void)[] = []
  const open = () => counts.sent - counts.answered - counts.failed
  const put = (kind: Row['kind'], scheduled: number, late: number, answer: Answer) => {
    rows.push({ at: scheduled - start, kind, late, latency: performance.now() - scheduled, ...answer })
    counts[answer.ok ? 'answered' : 'failed'] += 1
    if (open() === 0) waiters.splice(0).forEach(wake => wake())
  }
  /** Notes that a request of this kind is started now; gives the function that notes its answer. */
  const begin = (kind: Row['kind'], scheduled = performance.now()) => {
    counts.sent += 1
    const late = performance.now() - scheduled
    return (answer: Answer) => put(kind, scheduled, late, answer)
  }
  const allAnswered = () => new Promise<void>(resolve => (open() === 0 ? resolve() : waiters.push(resolve)))
  return { rows, counts, open, begin, allAnswered }
}

/** The requests that were answered or failed in the last second. Rows stand in the order of their answers. */
export function lastSecond(rows: readonly Row[], now: number) {
  const first = rows.findLastIndex(({ at, latency }) => at + latency < now - 1000) + 1
  return between(rows.slice(first), -Infinity, Infinity)
}
