// Work on the site while requests come at a constant rate, with a line on stderr every few seconds.
import { setTimeout as pause } from 'node:timers/promises'
import { Failure, messageOf } from '../../lib/system/errors.ts'
import { say } from '../../lib/system/progress.ts'
import { checkInterruption, interruption } from '../../lib/system/signals.ts'
import { type Load, type LoadOptions, type Report, startLoad } from '../load/load.ts'
import { assertRan } from '../load/report.ts'
import type { Site } from './site.ts'

const EVERY = 5000

export interface Running {
  /** seconds since the load started */
  now: () => number
  /** shown in the lines from now on */
  doing: (what: string) => void
  /** Lets the load run on. */
  quiet: (seconds: number) => Promise<void>
}

const line = (load: Load, doing: string) => {
  const { seconds, sent, failed, lastSecond } = load.snapshot()
  const p99 = lastSecond.fast.p99.toFixed(0)
  say.detail(`${seconds.toFixed(0).padStart(4)} s  ${sent} sent, ${failed} failed, p99 ${p99} ms  ${doing}`)
}

// Each way to fail, how often, and when it began: a lost request must tell what to look at.
const showFailures = ({ rows }: Report) => {
  const ways = new Map<string, number[]>()
  for (const { at, kind, outcome, reused } of rows.filter(({ ok }) => !ok)) {
    const way = `${kind} ${outcome}${reused ? ', connection reused' : ''}`
    ways.set(way, [...(ways.get(way) ?? []), at])
  }
  for (const [way, times] of ways) say.bad(`${times.length} × ${way}, from ${((times[0] ?? 0) / 1000).toFixed(1)} s on`)
}

const checkRan = (report: Report) => {
  try {
    assertRan(report)
  } catch (error) {
    throw new Failure(messageOf(error), {
      cause: error,
      hint: 'the machine is too busy to measure on, or the site is down',
    })
  }
}

/** Throws when fewer requests were sent than planned: a load that did not run proves nothing. */
export async function underLoad<T>(
  site: Site,
  options: Omit<LoadOptions, 'url'>,
  work: (running: Running) => Promise<T>,
): Promise<{ result: T; report: Report }> {
  let what = ''
  const load = startLoad({ url: site.url, ...options })
  const ticker = setInterval(() => line(load, what), EVERY)
  const running: Running = {
    now: () => load.snapshot().seconds,
    doing: text => {
      what = text
    },
    quiet: async seconds => {
      await pause(seconds * 1000, undefined, { signal: interruption }).catch(() => {})
      checkInterruption()
    },
  }
  try {
    const result = await work(running)
    const report = await load.stop()
    showFailures(report)
    checkRan(report)
    return { result, report }
  } finally {
    clearInterval(ticker)
    await load.stop()
  }
}
