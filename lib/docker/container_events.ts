// What happens to the containers of a service, told by the engine's events: nothing is polled.
import { EventEmitter } from 'node:events'
import { events } from './commands.ts'
import { Failure } from '../system/errors.ts'
import type { Instance } from './containers.ts'
import { follow } from '../system/run.ts'
import { together } from '../system/concurrency.ts'
import { checkInterruption, onInterruption } from '../system/signals.ts'

type State = 'started' | 'healthy' | 'unhealthy' | 'dead'

interface Event {
  Action: string
  timeNano: number
  Actor: { ID: string; Attributes: Record<string, string> }
}

export interface Watch {
  /**
   * Resolves when the instance is healthy; throws when it exits or turns unhealthy, or after so many seconds. Of one
   * that was restarted only what happened since counts (the time of its start, in milliseconds).
   */
  untilHealthy: (id: string, name: string, timeout: number, since?: number) => Promise<void>
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

const troubleOf = (name: string, state: State | undefined, exitCode: string) => {
  if (state === 'dead') return new Failure(`${name} ended with exit code ${exitCode}`)
  return state === 'unhealthy' ? new Failure(`${name} turned unhealthy`) : undefined
}

/** Begins to watch a service's containers. */
export function watchService(project: string, service: string): Watch {
  const states = new Map<string, { state: State; exitCode: string; time: number }>()
  const changes = new EventEmitter()
  let ended = false
  const labels = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${service}`]
  const stream = follow(events(labels, Math.floor(Date.now() / 1000) - 1))
  const read = async () => {
    for await (const line of stream.lines) {
      if (!line.startsWith('{')) continue
      const { Action, Actor, timeNano } = JSON.parse(line) as Event
      const state = stateOf(Action)
      if (state) states.set(Actor.ID, { state, exitCode: Actor.Attributes.exitCode ?? '', time: timeNano / 1e6 })
      changes.emit('change')
    }
  }
  const finish = () => {
    ended = true
    changes.emit('change')
  }
  read().then(finish, finish)

  /** What `look` finds, as soon as it finds something; undefined when the time is over, or the events have ended. */
  const found = <T>(look: () => T | undefined, milliseconds: number) =>
    new Promise<T | undefined>(resolve => {
      const settle = (answer: T | undefined) => {
        clearTimeout(timer)
        changes.off('change', check)
        forget()
        resolve(answer)
      }
      const timer = setTimeout(() => settle(undefined), milliseconds)
      const check = () => {
        const answer = look()
        if (answer !== undefined || ended) settle(answer)
      }
      const forget = onInterruption(() => settle(undefined))
      changes.on('change', check)
      check()
    })

  const trouble = (id: string, name: string) => troubleOf(name, states.get(id)?.state, states.get(id)?.exitCode ?? '')

  const untilHealthy = async (id: string, name: string, timeout: number, since = 0) => {
    const look = () => {
      if ((states.get(id)?.time ?? 0) < since) return undefined
      return states.get(id)?.state === 'healthy' ? ('healthy' as const) : trouble(id, name)
    }
    const outcome = await found(look, timeout * 1000)
    checkInterruption()
    if (outcome === 'healthy') return
    throw (
      outcome ??
      new Failure(
        ended
          ? 'the Docker engine stopped telling its events'
          : `${name} was not healthy after ${timeout} s (--timeout)`,
      )
    )
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
  return { untilHealthy, guard, stop: stream.stop }
}
