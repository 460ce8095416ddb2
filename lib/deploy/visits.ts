// What the visitors of an app got before a rollout and during it, for the history.
import { addressFor, listInstances } from '../docker/containers.ts'
import { readTraffic, type Served, tallyOf } from '../nginx/traffic.ts'
import { Failure } from '../system/errors.ts'
import type { Visits } from './journal.ts'
import { BEFORE } from './observe.ts'
import type { Rollout } from './rollout.ts'
import { keepTimeline, timelineOf } from './timeline.ts'

/** milliseconds */
const SHOWN_BEFORE = 10_000

const sumOf = (served: Served[]) => {
  const { requests, failed, p50, p99 } = tallyOf(served)
  return { requests, failed: failed.count, p50, p99 }
}

/** Begins to look: what was served before is read at once, beside what the deploy does meanwhile. */
export function startVisits({ stack, app, nginx, progress }: Rollout) {
  const names = new Map<string, string>()
  let since = Date.now()
  const lookAround = async () => {
    for (const instance of await listInstances(stack.project, app.service)) {
      const address = addressFor(nginx, instance)
      if (!instance.oneOff && address !== undefined) names.set(address, instance.name)
    }
  }
  const read = async (from: number) => {
    const served = await readTraffic(nginx, from)
    if (served) return served.filter(({ address }) => names.has(address))
    throw new Failure("nginx's log cannot be read")
  }
  const readBefore = async () => {
    await lookAround()
    return sumOf(await read(since - BEFORE))
  }
  const before = readBefore().catch(() => undefined)
  const readDuring = async () => {
    const start = since - SHOWN_BEFORE
    const served = await read(start)
    keepTimeline(progress.journal, timelineOf(served, names, start, progress.marks.slice()))
    return sumOf(served.filter(({ at }) => at >= since))
  }
  return {
    /** Notes which instances there are, before some of them go. */
    look: () => lookAround().catch(() => {}),
    /** From now on it is the rollout. */
    begin: () => {
      since = Date.now()
    },
    /** What came of it; what cannot be read is left out. */
    read: async (): Promise<Visits> => ({
      before: (await before) ?? null,
      during: await readDuring().catch(() => null),
    }),
  }
}

export type VisitsWatch = ReturnType<typeof startVisits>

/** With the requests that have waited in vain: they failed, and no instance was asked. */
export function withRefused(visits: Visits, refused: number): Visits {
  const { during } = visits
  if (!during || refused === 0) return visits
  return { ...visits, during: { ...during, requests: during.requests + refused, failed: during.failed + refused } }
}
