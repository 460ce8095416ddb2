// What happens to the instances of a service. Of containers the engine's events tell it, and nothing is polled; of
// tasks of a Swarm nobody does, so the managers are asked.
// Long, since both tell the same watch.
import { EventEmitter } from 'node:events'
import * as v from 'valibot'
import { readAnswer } from './answers.ts'
import { events } from './commands.ts'
import { Failure } from '../system/errors.ts'
import { composeLabels, type Instance } from './containers.ts'
import { follow } from '../system/run.ts'
import { together } from '../system/concurrency.ts'
import { checkInterruption, onAbort, onInterruption, sleep } from '../system/signals.ts'
import { readTasks } from './swarm.ts'

type State = 'started' | 'healthy' | 'unhealthy' | 'dead'

const EVENT = v.object({
  Action: v.string(),
  timeNano: v.number(),
  Actor: v.object({ ID: v.string(), Attributes: v.record(v.string(), v.string()) }),
})

export interface Watch {
  /**
   * Resolves when the instance is healthy; throws when it exits or turns unhealthy, or after so many seconds. Of one
   * that was restarted only what happened since counts (the time of its start, in milliseconds). Also throws when
   * `over` is aborted.
   */
  untilHealthy: (id: string, name: string, timeout: number, since?: number, over?: AbortSignal) => Promise<void>
  /**
   * Waits for work to end. When one of these instances exits or turns unhealthy meanwhile, the signal that the work was
   * given tells it to end; when it has, that is thrown, and nothing of it goes on beside the way back. So it is when
   * `over` is aborted.
   */
  guard: (
    instances: Pick<Instance, 'id' | 'name'>[],
    work: (signal: AbortSignal) => Promise<unknown>,
    over?: AbortSignal,
  ) => Promise<void>
  stop: () => void
}

const stateOf = (action: string): State | undefined => {
  if (action === 'health_status: healthy') return 'healthy'
  if (action === 'health_status: unhealthy') return 'unhealthy'
  if (action === 'start') return 'started'
  return action === 'die' ? 'dead' : undefined
}

/** What the last event of a container told. */
interface Seen {
  state: State
  /** of one that has ended */
  exitCode: string | undefined
  /** in words that follow its name, where the code tells less */
  why?: string | undefined
  /** what to do then, where nobody is to correct anything */
  hint?: string | undefined
  time: number
}

const troubleOf = (name: string, seen: Seen | undefined) => {
  if (seen?.state === 'dead')
    return new Failure(`${name} ${seen.why ?? `ended with exit code ${seen.exitCode}`}`, { hint: seen.hint })
  return seen?.state === 'unhealthy' ? new Failure(`${name} turned unhealthy`) : undefined
}

/** What the events of a service's containers have told so far. */
interface Told {
  states: Map<string, Seen>
  /** emits "change" at each event, and at the end */
  changes: EventEmitter
  /** why no more are told; undefined while they are */
  ended: Failure | undefined
}

const readEvents = async (lines: AsyncIterable<string>, { states, changes }: Told) => {
  for await (const line of lines) {
    if (!line.startsWith('{')) continue
    const { Action, Actor, timeNano } = readAnswer(EVENT, line, 'docker events')
    const state = stateOf(Action)
    if (state) states.set(Actor.ID, { state, exitCode: Actor.Attributes.exitCode, time: timeNano / 1e6 })
    changes.emit('change')
  }
}

/**
 * What `look` finds, as soon as it finds something; undefined when the time is over, the events have ended, or `over`
 * is aborted.
 */
const found = <T>(told: Told, look: () => T | undefined, milliseconds: number, over: AbortSignal | undefined) =>
  new Promise<T | undefined>(resolve => {
    const settle = (answer: T | undefined) => {
      clearTimeout(timer)
      told.changes.off('change', check)
      forget()
      forgetOver?.()
      resolve(answer)
    }
    const timer = setTimeout(() => settle(undefined), milliseconds)
    const check = () => {
      const answer = look()
      if (answer !== undefined || told.ended !== undefined) settle(answer)
    }
    const forget = onInterruption(() => settle(undefined))
    const forgetOver = over && onAbort(over, () => settle(undefined))
    told.changes.on('change', check)
    check()
  })

/** Begins to watch a service's containers. */
export function watchService(project: string, service: string): Watch {
  const stream = follow(events(composeLabels(project, service), Math.floor(Date.now() / 1000) - 1))
  return watchWith(told => readEvents(stream.lines, told), stream.stop)
}

/** milliseconds: a Swarm tells nobody what becomes of its tasks, so it is asked */
const ASKED = 700
/** milliseconds after which managers that do not answer are given up */
const SILENT = 30_000

const ENDED = new Set(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned'])

type TaskSeen = Awaited<ReturnType<typeof readTasks>>[number]

const stateOfTask = ({ state, wanted }: TaskSeen): State | undefined => {
  if (ENDED.has(state.State) || !wanted) return 'dead'
  return state.State === 'running' ? 'healthy' : undefined
}

/** The same of an app's instances in a Swarm. Its nodes need not be reached for it, only the managers. */
export function watchTasks(project: string, service: string): Watch {
  const over = new AbortController()
  const read = async ({ states, changes }: Told) => {
    let heard = Date.now()
    while (!over.signal.aborted) {
      // While another manager becomes the leader nobody answers for some seconds.
      const tasks = await readTasks(project, service).catch((error: unknown) => {
        if (Date.now() - heard > SILENT) throw error
        return undefined
      })
      if (tasks) heard = Date.now()
      const known = new Set(tasks?.map(({ id }) => id))
      for (const task of tasks ?? []) {
        const state = stateOfTask(task)
        const { ContainerStatus, Timestamp } = task.state
        const exitCode = String(ContainerStatus?.ExitCode ?? '?')
        const hint = isGivenUp(task) ? 'run this again: it takes the nodes that are left' : undefined
        if (state) states.set(task.id, { state, exitCode, why: whyOf(task), hint, time: Date.parse(Timestamp) })
      }
      if (tasks) for (const id of states.keys()) if (!known.has(id)) states.set(id, { ...GONE, time: Date.now() })
      changes.emit('change')
      await sleep(ASKED, over.signal)
    }
  }
  return watchWith(read, () => over.abort())
}

const GONE = { state: 'dead', exitCode: undefined, why: 'is gone' } as const

const isGivenUp = ({ state, wanted }: TaskSeen) => !state.Err && !wanted && !ENDED.has(state.State)

const whyOf = (task: TaskSeen) => {
  if (task.state.Err) return `has failed: ${task.state.Err}`
  return isGivenUp(task) ? 'was given up: its node is lost, or no longer for apps' : undefined
}

/** A watch of what `read` tells until it ends. */
const watchWith = (read: (told: Told) => Promise<void>, stop: () => void): Watch => {
  const told: Told = { states: new Map(), changes: new EventEmitter(), ended: undefined }
  const { states, changes } = told
  const finish = (error?: unknown) => {
    told.ended = error instanceof Failure ? error : new Failure('the Docker engine stopped telling its events')
    changes.emit('change')
  }
  read(told).then(() => finish(), finish)

  const trouble = (id: string, name: string) => troubleOf(name, states.get(id))

  const untilHealthy = async (id: string, name: string, timeout: number, since = 0, over?: AbortSignal) => {
    const look = () => {
      if ((states.get(id)?.time ?? 0) < since) return undefined
      return states.get(id)?.state === 'healthy' ? ('healthy' as const) : trouble(id, name)
    }
    const outcome = await found(told, look, timeout * 1000, over)
    checkInterruption()
    over?.throwIfAborted()
    if (outcome === 'healthy') return
    throw outcome ?? told.ended ?? new Failure(`${name} was not healthy after ${timeout} s (--timeout)`)
  }
  const guard: Watch['guard'] = async (instances, work, over) => {
    const alarm = new AbortController()
    const check = () => {
      const failure = instances.map(({ id, name }) => trouble(id, name)).find(Boolean)
      if (failure) alarm.abort(failure)
    }
    changes.on('change', check)
    check()
    try {
      await together(signal => [work(signal)], over ? AbortSignal.any([alarm.signal, over]) : alarm.signal)
    } finally {
      changes.off('change', check)
    }
  }
  return { untilHealthy, guard, stop }
}
