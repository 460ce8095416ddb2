// A new release with visitors: what they get is compared with what they get, and got, of the one before, and it goes
// when it is worse.
// Long, since the trial of a release, its two halves and its end have to be read together.
import { addressFor, type Instance, listInstances } from '../docker/containers.ts'
import type { App, Stack } from '../docker/stack.ts'
import { isRouted, readRoute, type Route, switchLive, type Upstream, upstreamsOf, waitingAt } from '../nginx/live.ts'
import type { Nginx } from '../nginx/container.ts'
import { followTraffic, readTraffic, type Served, type Tally, tallyOf, type Traffic } from '../nginx/traffic.ts'
import { together } from '../system/concurrency.ts'
import { Failure } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { interruption, sleep } from '../system/signals.ts'
import type { Progress } from './progress.ts'
import { LEAST, type Limits, shareText, wasIll, whySlower, whyWorse } from './verdict.ts'

export interface Observation extends Limits {
  /** seconds; 0 observes nothing */
  seconds: number
  /** percent of the visitors who get the new release for the first half; undefined: all get it at once */
  canary: number | undefined
}

/** how far back the release before is looked at, in milliseconds */
export const BEFORE = 60_000
const PAUSE = 500

interface Site {
  stack: Stack
  nginx: Nginx
  app: App
  progress: Progress
}

interface Trial {
  /** the new instances */
  fresh: Instance[]
  /** those of the release before */
  former: Instance[]
  /** where requests go when all is well */
  upstreams: Upstream[]
}

/** It was the release: whoever deploys by a timer must not try it again. */
export class WorseRelease extends Failure {}

const worse = (why: string) =>
  new WorseRelease(`the new release is worse than the one before: ${why}`, {
    hint:
      'docker compose logs nginx has each request; if the cause lies elsewhere, run it again, with --observe 0 if ' +
      'need be',
  })

// What apps ask each other comes from their containers: each such request is for a visitor of its own.
const innerOf = async ({ stack }: Site) =>
  new Set((await listInstances(stack.project)).flatMap(({ addresses }) => Object.values(addresses)))

const byInstances = (nginx: Instance, instances: Instance[], inner: Set<string>) => {
  const addresses = new Set(instances.map(instance => addressFor(nginx, instance)))
  return (served: Served[]) =>
    served.flatMap((it, index) => {
      if (!addresses.has(it.address)) return []
      return inner.has(it.client) ? [{ ...it, client: `${it.client} ${index}` }] : [it]
    })
}

// A signal means that somebody has seen enough: the release before is still there. What nginx has taken back must not
// be switched in again.
const checkStill = async ({ nginx, app }: Site, route: Route) => {
  if (interruption.aborted) throw interruption.reason as Failure
  if (await isRouted(nginx, app.service, route)) return
  throw new Failure('nginx has gone back to the release before by itself, or was started again meanwhile', {
    hint: 'docker compose logs nginx tells which; then run it again',
  })
}

interface Looks {
  traffic: Traffic
  ofFresh: (served: Served[]) => Served[]
  ofFormer: (served: Served[]) => Served[]
  /** what the release before was like */
  before: Tally
}

/** Ends after so many seconds, early when `over` is aborted; throws a Failure as soon as it is worse than before. */
const watchVisits = async (
  site: Site,
  { fresh }: Trial,
  { traffic, ofFresh, ofFormer, before }: Looks,
  route: Route,
  observation: Observation,
  over: AbortSignal,
) => {
  const end = Date.now() + observation.seconds * 1000
  while (Date.now() < end && !traffic.hasEnded()) {
    await sleep(Math.min(PAUSE, Math.max(end - Date.now(), 1)), over)
    over.throwIfAborted()
    if (interruption.aborted) throw interruption.reason as Failure
    const served = traffic.recent()
    const why = whyWorse({ before, control: tallyOf(ofFormer(served)), fresh: tallyOf(ofFresh(served)) }, observation)
    if (why !== undefined) throw worse(why)
  }
  await checkStill(site, route)
  if (traffic.hasEnded())
    throw new Failure("nginx's log has ended, so that nobody knows what visitors get", {
      hint: 'it is read by docker logs: a logging driver that keeps nothing needs --observe 0',
    })
  const served = ofFresh(traffic.recent())
  const tally = tallyOf(served)
  const waiting = await waitingAt(site.nginx, site.app.service, fresh)
  if (waiting >= LEAST && waiting > tally.requests)
    throw worse(`${waiting} requests have no answer yet, and ${tally.requests} have one`)
  const why = whySlower(before, tallyOf(served.slice(served.length / 2)), observation)
  if (why !== undefined) throw worse(why)
  say.detail(
    tally.requests < LEAST
      ? `${tally.requests} requests: too few to tell anything; its own pages were good`
      : `${shareText('failed', tally.failed.count, tally.requests)}; the slowest hundredth took ` +
          `${tally.p99.toFixed(2)} s, before ${before.p99.toFixed(2)} s`,
  )
}

const stagesOf = (
  { upstreams, fresh }: Trial,
  app: App,
  former: Upstream[],
  canary: number | undefined,
  isIll: boolean,
) => {
  // Where nothing was switched yet there is nobody by name to go back to, and to one that is ill nginx must not.
  const guarded = former.length > 0 && !isIll
  const all = { route: { upstreams, ...(guarded ? { former } : {}) }, who: 'all visitors' }
  if (canary === undefined) return [all]
  if (!guarded) say.warn('no canary: the release before is failing, or is the first one')
  return guarded
    ? [
        // In a Swarm all of them have come, and are found by the name of their rollout.
        {
          route: {
            upstreams: fresh.some(({ task }) => task) ? upstreams : upstreamsOf(app, fresh),
            former,
            percent: canary,
          },
          who: `${canary} % of the visitors`,
        },
        all,
      ]
    : [all]
}

/** What is done beside an observation. */
interface Meanwhile {
  /** shows that visitors come to the new instances */
  prove: (signal: AbortSignal) => Promise<unknown>
  /** before each stage */
  carry: (signal: AbortSignal) => Promise<unknown>
  /** until the promise ends */
  beside: (signal: AbortSignal, until: Promise<void>) => Promise<unknown>
  /** ends when the other apps of the same release are as far: before the first stage, before the last, and after it */
  meet: (point: 'switch' | 'all' | 'observed', signal: AbortSignal) => Promise<unknown>
}

/**
 * Has visitors come to new instances (a part of them first, if wanted), and looks at what they get. Throws a Failure as
 * soon as it is worse than before; the former instances are still there then. At a signal too.
 */
export async function tryOut(
  site: Site,
  trial: Trial,
  observation: Observation,
  { prove, carry, beside, meet }: Meanwhile,
  over: AbortSignal,
) {
  const { nginx, app, progress } = site
  const inner = await innerOf(site)
  const ofFormer = byInstances(nginx, trial.former, inner)
  const looks = { ofFormer, ofFresh: byInstances(nginx, trial.fresh, inner) }
  const before = tallyOf(ofFormer((await readTraffic(nginx, Date.now() - BEFORE)) ?? []))
  const { upstreams: former } = await readRoute(nginx, app.service)
  const stages = stagesOf(trial, app, former, observation.canary, wasIll(before))
  const seconds = observation.seconds / stages.length
  let last: Route | undefined
  for (const [index, { route, who }] of stages.entries()) {
    await carry(over)
    if (index === 0) await meet('switch', over)
    if (index === stages.length - 1) await meet('all', over)
    if (last) await checkStill(site, last)
    last = route
    const traffic = followTraffic(nginx)
    try {
      await switchLive(nginx, app.service, route)
      over.throwIfAborted()
      progress.phase('observe', `${who} for ${seconds} s (--observe)`)
      // A release that nginx has sent away already proves nothing any more.
      await together(signal => {
        const look = { ...looks, traffic, before }
        const watched = watchVisits(site, trial, look, route, { ...observation, seconds }, signal)
        return [prove(signal), watched, beside(signal, watched)]
      }, over)
    } finally {
      traffic.stop()
    }
  }
  await meet('observed', over)
  if (last) await checkStill(site, last)
}
