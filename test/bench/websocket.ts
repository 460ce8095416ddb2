// What became of the websocket. It ends with its instance when its drain time is over, by rule; a message that is on
// its way then is lost with it. That is counted by itself, and only when the websocket had all of its time.
import { type Report } from '../load/load.ts'
import type { TimedPhase } from '../load/old_procedure.ts'
import { DRAIN_SECONDS } from './site.ts'

export interface Cuts {
  /** how often it was closed */
  closed: number
  /** how often before its time was over */
  early: number
  /** messages that were on their way */
  messages: number
}

/** Seconds since the load started: nginx was reloaded somewhere in between. */
export interface Reload {
  from: number
  to: number
}

/** The phases of a rollout in which nginx is reloaded. */
export function reloadsOf(phases: readonly TimedPhase[]): readonly Reload[] {
  return phases.filter(({ label }) => label === 'switch')
}

export function cutsIn({ rows, websocketReconnects }: Report, reloads: readonly Reload[], drain = DRAIN_SECONDS): Cuts {
  const opened = rows.filter(({ kind, ok }) => kind === 'handshake' && ok).map(({ at }) => at)
  const isEarly = (at: number) => {
    const since = opened.findLast(time => time < at) ?? 0
    const reload = reloads.find(({ to }) => to * 1000 >= since)
    return reload === undefined || at < (reload.from + drain) * 1000
  }
  return {
    closed: websocketReconnects.length,
    early: websocketReconnects.filter(({ at }) => isEarly(at)).length,
    messages: rows.filter(({ kind, ok, outcome }) => kind === 'websocket' && !ok && outcome.startsWith('closed'))
      .length,
  }
}

/** What failed, less the messages on a websocket whose time was over. */
export function lostIn({ sent, failed }: Pick<Report, 'sent' | 'failed'>, { early, messages }: Cuts) {
  return {
    sent,
    failed: early > 0 ? failed : failed - messages,
  }
}
