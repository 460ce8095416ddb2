// The heart: instances of one release take the place of those of another, and nginx always has a healthy one to send
// requests to.
import { COMPOSE_FILE, composeAdd, healthLog, logs, removeContainers, start, stop } from '../docker/commands.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { addressFor, type Instance, isHealthy, listIds, listInstances, readInstance } from '../docker/containers.ts'
import { handOverState, keepHandingOver } from './handover.ts'
import { awaitDrained, liveMap, proveInstance, proveSwitch, readLive, switchLive } from '../nginx/live_map.ts'
import type { Pin } from '../docker/release_pins.ts'
import type { Progress } from './progress.ts'
import { attempt, capture, follow } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { together } from '../system/concurrency.ts'
import { shielded, sleep } from '../system/signals.ts'
import type { App, Stack } from '../docker/stack.ts'
import { type Watch, watchService } from '../docker/container_events.ts'

export interface Rollout {
  stack: Stack
  app: App
  nginx: Instance
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
  /** also when nginx's file is right already: it may not have been read */
  reload: boolean
  /** what it answers must be what is expected of it; going back, that somebody answers is enough */
  prove: boolean
}

const listOwn = async ({ stack, app }: Rollout) =>
  (await listInstances(stack.project, app.service)).filter(({ oneOff }) => !oneOff)

/**
 * Replaces all instances of an app by instances of the target, one after another, with at most one more than usual at a
 * time. It takes things as they are, so it also goes on with a rollout that was stopped half-way, and goes back from
 * one that failed. Throws a Failure when an instance does not get healthy or does not stay so; signals are heeded until
 * the first switch.
 */
export async function converge(rollout: Rollout, target: Target) {
  const { app, stack, nginx } = rollout
  const watch = watchService(stack.project, app.service)
  const isNew = ({ rollout: id }: Instance) => id === target.pin?.rollout
  const step = async () => {
    const own = await listOwn(rollout)
    const fresh = own.filter(it => isNew(it) && it.running)
    const old = own.filter(it => !isNew(it) && it.running)
    const ill = fresh.find(it => !isHealthy(it))
    if (ill) throw new Failure(`${ill.name} is not healthy`)
    if (fresh.length < app.replicas) {
      const before = readLive(app.service)
      // By its service name nginx would also reach the instance that is still starting.
      if (before === undefined && old.length > 0)
        await shielded(() =>
          switchLive(
            nginx,
            app.service,
            liveMap(
              app,
              old.map(({ name }) => name),
            ),
          ),
        )
      fresh.push(await startOne(rollout, target, own, watch))
    }
    const complete = fresh.length >= app.replicas
    const leaving = complete
      ? own.filter(it => !isNew(it))
      : old.slice(0, Math.max(0, fresh.length + old.length - app.replicas))
    const staying = old.filter(it => !leaving.includes(it))
    await shielded(() => handOver(rollout, target, { fresh, staying, leaving, complete }, watch))
    return complete
  }
  try {
    if (await step()) return
    // Each step replaces one instance, so it ends when no old one is left.
    await shielded(async () => {
      let complete = false
      while (!complete) complete = await step()
    })
  } finally {
    watch.stop()
  }
}

const startOne = async (rollout: Rollout, { files, prove }: Target, own: Instance[], watch: Watch) => {
  const { app, progress, timeout, probation } = rollout
  progress.phase('start', `one more instance of ${app.service}`)
  const dead = own.filter(({ running }) => !running)
  if (dead.length > 0) await capture(removeContainers(dead.map(({ id }) => id)))
  await capture(composeAdd([COMPOSE_FILE, ...files], app.service, own.length - dead.length + 1))
  const known = new Set(own.map(({ id }) => id))
  const created = (await listIds(rollout.stack.project, app.service)).find(id => !known.has(id))
  if (!created) throw new Failure(`Compose made no new instance of ${app.service}`)
  await capture(start(created))
  const instance = await readInstance(created)
  progress.phase('healthy', `waiting for the health check of ${instance.name}`)
  const log = follow(logs(instance.id, '--follow'))
  void showLog(log.lines)
  try {
    await watch.untilHealthy(instance.id, instance.name, timeout)
    if (prove)
      await watch.guard([instance], signal => proveInstance(rollout.nginx, rollout.stack, app, instance, signal))
    const rest = Date.parse(instance.started) + probation * 1000 - Date.now()
    if (rest > 0) {
      say.detail(`healthy; it gets requests when it has run for ${probation} s (--probation)`)
      await watch.guard([instance], signal => sleep(rest, signal))
    }
  } catch (error) {
    throw await withLastWords(instance, error)
  } finally {
    log.stop()
  }
  return instance
}

const showLog = async (lines: AsyncGenerator<string>) => {
  for await (const line of lines) say.detail(line)
}

/** The Failure with the end of the instance's log added, and what its health check said last. */
const withLastWords = async ({ id }: Instance, error: unknown) => {
  const log = await attempt(logs(id, '--tail', '15'))
  const probe = await attempt(healthLog(id))
  const said = (log.stdout + log.stderr).trim() || '(it wrote nothing)'
  const checked = [...new Set(probe.stdout.split('\n').filter(Boolean))].slice(-2).join(' · ')
  const parts = [
    messageOf(error),
    '  the last lines of its log:',
    ...said.split('\n').map(line => `    ${line}`),
    checked && `  its health check said: ${checked}`,
  ]
  return new Failure(parts.filter(Boolean).join('\n'), {
    cause: error,
    hint: 'correct it and push, then run this again',
  })
}

interface HandOver {
  fresh: Instance[]
  staying: Instance[]
  leaving: Instance[]
  complete: boolean
}

const handOver = async (
  rollout: Rollout,
  target: Target,
  { fresh, staying, leaving, complete }: HandOver,
  watch: Watch,
) => {
  const { app, nginx, progress } = rollout
  const names = [...fresh, ...staying].map(({ name }) => name)
  const text = liveMap(app, complete && target.pin ? [target.pin.rollout] : names)
  const guarded = async (over: AbortSignal) => {
    progress.phase('switch', `nginx sends requests to ${names.join(', ')}`)
    if (readLive(app.service) === text && !target.reload) return
    const source = leaving.findLast(isHealthy)
    const carry = async (signal: AbortSignal) => (source ? handOverState(app, source, fresh, signal) : false)
    const carried = await carry(over)
    over.throwIfAborted()
    await switchLive(nginx, app.service, text)
    over.throwIfAborted()
    const [wanted, unwanted] = [fresh, leaving].map(instances =>
      instances.map(it => addressFor(nginx, it)).filter(Boolean),
    ) as [string[], string[]]
    const prove = (signal: AbortSignal) => proveSwitch(nginx, app, target.prove, wanted, unwanted, signal)
    if (!leaving.some(({ running }) => running)) return prove(over)
    progress.phase('drain', `waiting until nobody is served by ${leaving.map(({ name }) => name).join(', ')}`)
    await together(signal => {
      const drained = awaitDrained(nginx, signal)
      return [prove(signal), drained, carried ? keepHandingOver(() => carry(signal), drained) : drained]
    }, over)
  }
  try {
    await watch.guard(fresh, guarded)
  } catch (error) {
    const now = await listOwn(rollout)
    const ill = fresh.find(({ id }) => !now.some(it => it.id === id && isHealthy(it)))
    throw ill ? await withLastWords(ill, error) : error
  }
  if (complete) target.commit()
  if (leaving.length > 0) {
    progress.phase('stop', leaving.map(({ name }) => name).join(', '))
    await Promise.all(leaving.map(({ id }) => attempt(stop(id))))
    await capture(removeContainers(leaving.map(({ id }) => id)))
  }
  if (complete && !target.pin) await switchLive(nginx, app.service, undefined)
}
