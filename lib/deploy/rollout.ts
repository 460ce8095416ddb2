// The heart: instances of one release take the place of those of another, and nginx always has a healthy one to send
// requests to.
// Long, since the order of these steps is what loses no request.
import { Failure, messageOf } from '../system/errors.ts'
import { showLog } from '../docker/last_words.ts'
import { addressFor, type Instance, isHealthy } from '../docker/containers.ts'
import { type Fleet, fleetOf } from './fleet.ts'
import { handOverState, keepHandingOver } from './handover.ts'
import { type Observation, tryOut } from './observe.ts'
import { awaitDrained, readRoute, switchLive, upstreamsOf, upstreamsOfRollout } from '../nginx/live.ts'
import type { Nginx } from '../nginx/container.ts'
import { proveInstance, proveSwitch } from '../nginx/prove.ts'
import type { Pin } from '../docker/release_pins.ts'
import type { Progress } from './progress.ts'
import { follow } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { together } from '../system/concurrency.ts'
import { shielded, sleep } from '../system/signals.ts'
import type { App, Stack } from '../docker/stack.ts'
import type { Watch } from '../docker/container_events.ts'

export interface Rollout {
  stack: Stack
  app: App
  nginx: Nginx
  progress: Progress
  /** seconds that a new instance has to get healthy */
  timeout: number
  /**
   * seconds that a new instance must have run before it gets requests: one that gets healthy and then dies never has
   * one to lose
   */
  probation: number
}

/**
 * What shall be live: a release and the Compose files that its instances are started with; without a pin what
 * docker-compose.yml names.
 */
export interface Target {
  pin: Pin | undefined
  files: string[]
  /** called when all traffic has been moved and proved, before the first of the last old instances is stopped */
  commit: () => void
  /** what it answers must be what is expected of it; going back, that somebody answers is enough */
  prove: boolean
  /** called when an instance has been started; it has ended before visitors come */
  onStarted?: () => Promise<unknown>
  /** called when visitors get it, and that is proved */
  onProved?: () => Promise<unknown> | undefined
  /** how its first instance is observed; undefined: not at all */
  observation?: Observation | undefined
}

/** The other apps of the same release. */
export interface Company {
  /** waits until all have come so far */
  meet: (point: 'switch' | 'all' | 'observed' | 'drained', over: AbortSignal) => Promise<unknown>
  /** is told at once when this one has failed, or has ended because another has */
  onFailure: (error: unknown) => void
  /** aborted when one of them has failed */
  over?: AbortSignal
}

const alone: Company = { meet: async () => {}, onFailure: () => {} }

/**
 * Replaces all instances of an app by instances of the target, one after another, with at most one more than usual at a
 * time. It takes things as they are, so it also goes on with a rollout that was stopped half-way, and goes back from
 * one that failed. Throws a Failure when an instance does not get healthy or does not stay so; signals are heeded until
 * the first switch.
 */
export async function converge(rollout: Rollout, target: Target) {
  const { app } = rollout
  const watch = fleetIn(rollout).watch()
  const step = async (observation?: Observation) => {
    const sides = await listSides(rollout, target)
    const { fresh, old, former } = sides
    if (fresh.length < app.replicas) fresh.push(...(await bringMore(rollout, target, sides, watch)))
    const complete = fresh.length >= app.replicas
    const leaving = complete ? former : old.slice(0, Math.max(0, fresh.length + old.length - app.replicas))
    const staying = old.filter(it => !leaving.includes(it))
    const move = { fresh, staying, leaving, complete, observation }
    await shielded(() => handOver(rollout, target, move, watch, alone))
    return complete
  }
  try {
    if (await step(target.observation)) return
    // Each step replaces one instance, so it ends when no old one is left.
    await shielded(async () => {
      let complete = false
      while (!complete) complete = await step()
    })
  } finally {
    watch.stop()
  }
}

interface Sides {
  /** all that there are */
  own: Instance[]
  /** the new ones, of those that run */
  fresh: Instance[]
  former: Instance[]
  /** the former ones, of those that run */
  old: Instance[]
}

/** The instances on both sides. Throws a Failure when a new one runs and is not healthy. */
export async function listSides(rollout: Rollout, { pin }: Target): Promise<Sides> {
  const own = await fleetIn(rollout).list()
  const isNew = ({ rollout: id }: Instance) => id === pin?.rollout
  const fresh = own.filter(it => isNew(it) && it.running)
  const ill = fresh.find(it => !isHealthy(it))
  if (ill) throw new Failure(`${ill.name} is not healthy`)
  const former = own.filter(it => !isNew(it))
  return { own, fresh, former, old: former.filter(({ running }) => running) }
}

/**
 * Starts one more new instance (in a Swarm all that are missing), and waits until it is ready for visitors. Throws a
 * Failure when it does not get so.
 */
export async function bringMore(rollout: Rollout, target: Target, { own, old }: Sides, watch: Watch) {
  const { app, nginx } = rollout
  // By its service name nginx would also reach the instance that is still starting.
  if (old.length > 0 && (await readRoute(nginx, app.service)).upstreams.length === 0)
    await shielded(() => switchLive(nginx, app.service, { upstreams: upstreamsOf(app, old) }))
  return startMore(rollout, target, own, watch)
}

const fleetIn = ({ stack, app }: Rollout): Fleet => fleetOf(stack, app)

const startMore = async (rollout: Rollout, target: Target, own: Instance[], watch: Watch) => {
  const { app, progress } = rollout
  const fleet = fleetIn(rollout)
  progress.phase('start', `${fleet.atOnce ? `${app.replicas} instances` : 'one more instance'} of ${app.service}`)
  const started = await fleet.start(target, own)
  // In a Swarm they may have got healthy by themselves meanwhile.
  const [first] = started
  if (!first) return started
  progress.phase('healthy', `waiting for the health check of ${namesOf(started)}`)
  const told = target.onStarted?.().catch(() => {})
  const log = follow(fleet.log(first, '--follow'))
  void showLog(log.lines)
  try {
    // One that fails keeps nobody waiting for the others.
    await together(signal => started.map(it => bring(rollout, target, it, watch, signal)))
    return await fleet.again(started)
  } finally {
    log.stop()
    await told
  }
}

/**
 * Milliseconds that an instance must still run before it gets requests. When it was started is told by its node, whose
 * clock may be wrong: never before it was made (`begun`), and never later than now.
 */
export function probationLeft(
  probation: number,
  begun: Pick<Instance, 'started'>,
  { started }: Pick<Instance, 'started'>,
  now = Date.now(),
) {
  const since = Math.min(Math.max(Date.parse(started), Date.parse(begun.started)), now)
  return since + probation * 1000 - now
}

const bring = async (rollout: Rollout, { prove }: Target, begun: Instance, watch: Watch, over: AbortSignal) => {
  const { app, timeout, probation } = rollout
  let instance = begun
  try {
    await watch.untilHealthy(begun.id, begun.name, timeout, 0, over)
    over.throwIfAborted()
    instance = (await fleetIn(rollout).again([begun]))[0] ?? begun
    if (prove)
      await watch.guard([instance], signal => proveInstance(rollout.nginx, rollout.stack, app, instance, signal), over)
    const rest = probationLeft(probation, begun, instance)
    if (rest > 0) {
      say.detail(`healthy; it gets requests when it has run for ${probation} s (--probation)`)
      await watch.guard([instance], signal => sleep(rest, signal), over)
    }
  } catch (error) {
    if (over.aborted) throw error
    throw await withLastWords(rollout, instance, error)
  }
}

/** The Failure with what the instance said last. */
const withLastWords = async (rollout: Rollout, instance: Instance, error: unknown) =>
  new Failure([messageOf(error), ...(await fleetIn(rollout).lastWords(instance))].join('\n'), {
    cause: error,
    hint:
      error instanceof Failure && error.hint !== undefined ? error.hint : 'correct it and push, then run this again',
  })

interface HandOver {
  fresh: Instance[]
  staying: Instance[]
  leaving: Instance[]
  complete: boolean
  observation: Observation | undefined
}

const namesOf = (instances: Instance[]) => instances.map(({ name }) => name).join(', ')

const drain = async ({ nginx, app }: Rollout, signal: AbortSignal) => {
  const open = await awaitDrained(nginx, app.service, signal)
  if (open > 0) say.detail(`${open} requests have not ended within DRAIN_SECONDS; they end with their instance`)
}

/**
 * Gives visitors to new instances, and stops those that leave when nobody is served by them any more. Throws a Failure
 * when that goes wrong; those that leave are still there then.
 */
export async function handOver(
  rollout: Rollout,
  target: Target,
  { fresh, staying, leaving, complete, observation }: HandOver,
  watch: Watch,
  { meet, onFailure, over: others }: Company,
) {
  const { app, nginx, progress } = rollout
  const serving = [...fresh, ...staying]
  const upstreams = complete && target.pin ? upstreamsOfRollout(app, target.pin.rollout) : upstreamsOf(app, serving)
  const guarded = async (over: AbortSignal) => {
    if (complete && target.pin) await fleetIn(rollout).announce(nginx, target.pin.rollout, fresh, over)
    progress.phase('switch', `nginx sends requests to ${namesOf(serving)}`)
    const source = leaving.findLast(isHealthy)
    const carry = async (signal: AbortSignal) => (source ? handOverState(app, source, fresh, signal) : false)
    const isObserved = observation !== undefined && [...staying, ...leaving].some(isHealthy)
    if (observation?.canary !== undefined && !isObserved) say.warn('no canary: nobody else is live')
    // Of one that is left because it is bad nobody waits for the state.
    let carried = target.prove && !isObserved && (await carry(over))
    over.throwIfAborted()
    const [wanted, unwanted] = [fresh, leaving].map(instances =>
      instances.map(it => addressFor(nginx, it)).filter(Boolean),
    ) as [string[], string[]]
    const prove = async (signal: AbortSignal) => {
      await proveSwitch(nginx, app, target.prove, wanted, unwanted, signal)
      await target.onProved?.()
    }
    const beside = (signal: AbortSignal, until: Promise<void>) =>
      carried ? keepHandingOver(() => carry(signal), until) : until
    if (isObserved) {
      const trial = { fresh, former: [...staying, ...leaving], upstreams }
      const carryAgain = async (signal: AbortSignal) => {
        carried = await carry(signal)
      }
      await tryOut(rollout, trial, observation, { prove, carry: carryAgain, beside, meet }, over)
    } else {
      await meet('switch', over)
      await meet('all', over)
    }
    await switchLive(nginx, app.service, { upstreams })
    over.throwIfAborted()
    if (!isObserved) await meet('observed', over)
    if (!target.prove) carried = await carry(over)
    if (leaving.some(({ running }) => running)) {
      progress.phase('drain', `waiting until nobody is served by ${namesOf(leaving)}`)
      await together(signal => {
        const drained = drain(rollout, signal)
        return [prove(signal), drained, beside(signal, drained)]
      }, over)
    } else await prove(over)
    await meet('drained', over)
  }
  try {
    await watch.guard(fresh, guarded, others)
  } catch (error) {
    onFailure(error)
    const now = await fleetIn(rollout).list()
    const ill = fresh.find(({ id }) => !now.some(it => it.id === id && isHealthy(it)))
    throw ill ? await withLastWords(rollout, ill, error) : error
  }
  if (complete) target.commit()
  if (leaving.length > 0) {
    progress.phase('stop', namesOf(leaving))
    const fleet = fleetIn(rollout)
    await fleet.stop(leaving)
    await fleet.remove(leaving)
  }
  if (complete && target.pin) await fleetIn(rollout).sweep(target.pin.rollout)
  if (complete && !target.pin) await switchLive(nginx, app.service, { upstreams: [] })
}
