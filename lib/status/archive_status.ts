// What status.ts says of the archive, from what the last pass has noted: nobody is asked.
import { type ArchiveState, NOTHING_YET, readArchiveState } from '../archive/archive_state.ts'
import { lastMomentDrill, type MomentDrill } from '../archive/drill_moment.ts'
import { isArchived } from '../archive/receiver.ts'
import { isOffsite } from '../backup/offsite/layout.ts'
import { age } from '../system/format.ts'
import type { Settings } from '../system/settings.ts'

const MINUTE = 60_000
/** A pass is made each minute. */
const LAG = 2 * MINUTE
/** A nightly base that failed once is late by two hours. */
const BASE = 26 * 60 * MINUTE

/** So many are shown at once. */
const MOST = 5

export interface ArchiveStatus extends Omit<ArchiveState, 'error' | 'damage'> {
  drill: MomentDrill | null
  /** what is wrong, in words; null when nothing is */
  trouble: string | null
}

const { error: _, damage: _damage, ...NOTHING } = NOTHING_YET
const NONE: ArchiveStatus = {
  ...NOTHING,
  time: new Date(0).toISOString(),
  drill: null,
  trouble:
    'nothing of the archive is shipped yet: does cron run (tsx scripts/setup.ts --check)? tsx scripts/backup.ts --ship',
}

/** What is wrong with an archive, in words. */
export function archiveTroubles(state: ArchiveState, offsite: boolean, now: Date) {
  const since = (time: string | null | undefined) => (time ? now.getTime() - Date.parse(time) : Infinity)
  const behind = (time: string | null | undefined) => (time ? `${age(new Date(time), now)} behind` : 'not there')
  const { received, shipped, base, slot, damage, error } = state
  const old = since(state.time) > LAG
  return [
    error !== '' && error,
    slot === 'lost' && 'the slot is lost: what was to be received is gone',
    old && `nothing was shipped for ${age(new Date(state.time), now)}: does cron run?`,
    !old && since(received) > LAG && `what is received beside the database is ${behind(received)}`,
    !old && since(shipped) > LAG && `what is in BACKUP_DIR is ${behind(shipped)}`,
    offsite &&
      since(state.offsite?.at) > LAG &&
      `what is off the site is ${behind(state.offsite?.at)}${state.offsite?.error ? `: ${state.offsite.error}` : ''}`,
    !base && 'there is no base backup, so nothing can be brought back',
    base && since(base.endedAt) > BASE && `the newest base backup is ${age(new Date(base.endedAt), now)} old`,
    ...damage,
  ].filter(it => typeof it === 'string')
}

/** undefined where nothing is archived. */
export function readArchiveStatus(settings: Settings): ArchiveStatus | undefined {
  if (!isArchived(settings)) return undefined
  const state = readArchiveState()
  if (!state) return NONE
  const { error: _, damage: _damage, ...rest } = state
  const drill = lastMomentDrill() ?? null
  const troubles = [
    ...archiveTroubles(state, isOffsite(settings), new Date()),
    ...(drill?.result === 'failed' ? [`the last drill of a moment failed: ${drill.error}`] : []),
  ]
  // All of them: a moment's lag must not hide a gap.
  return { ...rest, drill, trouble: troubles.slice(0, MOST).join('; ') || null }
}
