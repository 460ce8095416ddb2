// What the visitors of an app got before a rollout and during it, for the history.
import { addressFor, listInstances } from '../docker/containers.ts'
import { readTraffic, type Served, tallyOf } from '../nginx/traffic.ts'
import { together } from '../system/concurrency.ts'
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
      if (!instance.oneOff && address !== '') names.set(address, instance.name)
    }
  }
  const read = async (from: number) => {
    const [served] = await together(() => [readTraffic(nginx, from), lookAround()])
    if (served) return served.filter(({ address }) => names.has(address))
    throw new Failure("nginx's log cannot be read")
  }
  const before = read(since - BEFORE).then(sumOf, () => undefined)
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
