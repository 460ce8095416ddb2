// What the engine and the app itself say about when things happened: independent of what the scripts measure.
import { events, inspect, logs } from '../../lib/docker/commands.ts'
import { Failure } from '../../lib/system/errors.ts'
import { attempt, capture, follow } from '../../lib/system/run.ts'
import type { Site } from './site.ts'

interface Event {
  Action: string
  timeNano: number
  Actor: { ID: string; Attributes: Record<string, string> }
}

/** In seconds. */
export interface EngineTimes {
  /** from the new instance's start to its own line that it listens */
  ready: number
  /** from the same to the event with which the engine calls it healthy */
  healthy: number
  /** how long the container of the migration ran */
  migration: number
  /**
   * how long the app took to save and load what it keeps in its memory, where the rollout waits for nothing else:
   * before the switch, and when the old instance is drained
   */
  state: number
}

const STATE = /^exec_start: avril-state\b/

// Those in between run beside the requests that are still in flight.
const stateTime = (own: Event[]) => {
  const runs = own
    .filter(({ Action }) => STATE.test(Action))
    .map(({ timeNano, Actor }) => {
      const end = own.find(it => it.Action === 'exec_die' && it.Actor.Attributes.execID === Actor.Attributes.execID)
      return ((end?.timeNano ?? timeNano) - timeNano) / 1e9
    })
  return (runs[0] ?? 0) + (runs.length > 1 ? (runs.at(-1) ?? 0) : 0)
}

const LISTENS = /^(\S+) Running Avril on port 4000/m

/** Listens to the engine from now on. `timesSince` tells about the one rollout since a time (ms since 1970). */
export function watchEngine({ project, service }: Site) {
  const labels = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${service}`]
  const stream = follow(events(labels, Math.floor(Date.now() / 1000)))
  const seen: Event[] = []
  const read = async () => {
    for await (const line of stream.lines) if (line.startsWith('{')) seen.push(JSON.parse(line) as Event)
  }
  const reading = read()

  const timesSince = async (since: number): Promise<EngineTimes> => {
    const own = seen.filter(({ timeNano }) => timeNano / 1e6 >= since)
    const oneOff = ({ Actor }: Event) => Actor.Attributes['com.docker.compose.oneoff'] === 'True'
    const at = (action: string, of: (event: Event) => boolean) => {
      const event = own.find(it => it.Action === action && of(it))
      if (!event) throw new Failure(`the engine told of no event ${action}`)
      return event.timeNano / 1e6
    }
    const id = own.find(it => it.Action === 'start' && !oneOff(it))?.Actor.ID ?? ''
    const started = await startOf(id)
    const migration = own.some(oneOff) ? at('die', oneOff) - at('start', oneOff) : 0
    return {
      ready: ((await readyAt(id)) - started) / 1000,
      healthy: (at('health_status: healthy', ({ Actor }) => Actor.ID === id) - started) / 1000,
      migration: migration / 1000,
      state: stateTime(own),
    }
  }
  const stop = async () => {
    stream.stop()
    await reading
  }
  return { timesSince, stop }
}

const startOf = async (id: string) => {
  const [container] = JSON.parse(await capture(inspect([id]))) as { State: { StartedAt: string } }[]
  return Date.parse(container?.State.StartedAt ?? '')
}

const readyAt = async (id: string) => {
  const { stdout } = await attempt(logs(id, '--timestamps'))
  return Date.parse(LISTENS.exec(stdout)?.[1] ?? '')
}
