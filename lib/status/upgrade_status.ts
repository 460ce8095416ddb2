// What status.ts says of an upgrade of PostgreSQL that has not ended.
import { type ClusterChange, readUpgradeNote, unfinishedText } from '../postgres/upgrade_note.ts'
import { isAlive } from '../system/processes.ts'
import { readDataWork, type Work } from '../system/work_lock.ts'

export interface UpgradeStatus {
  /** the major versions */
  from: number
  to: number
  since: string
  /** who is at it and how far, in words; null when nobody is */
  underWay: string | null
  /** what is wrong, and what to do; null while somebody is at it */
  trouble: string | null
}

/** What is to be said of a change that has begun and not ended; `work` is what is done with the data now. */
export function upgradeStatus(change: ClusterChange, work: Work | undefined): UpgradeStatus {
  const { since, former, next } = change
  const told = { from: former.version, to: next.version, since }
  // A backup after an upgrade that was killed has the same lock.
  if (!work?.what.endsWith(' PostgreSQL')) return { ...told, underWay: null, trouble: unfinishedText(change) }
  return { ...told, underWay: `${work.who} is ${work.what} (process ${work.pid}), step ${work.step}`, trouble: null }
}

/** The upgrade, or the way back from one, that has begun and not ended; undefined when there is none. */
export function readUpgrade(): UpgradeStatus | undefined {
  const change = readUpgradeNote().under_way
  const work = readDataWork()
  return change && upgradeStatus(change, work && isAlive(work.pid) ? work : undefined)
}
