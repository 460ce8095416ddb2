// What status.ts says of the backups.
import { type BackupEntry, lastBackup } from '../backup/run_backup.ts'
import type { Settings } from '../system/settings.ts'
import { type Drill, lastDrill } from '../backup/drill.ts'
import { messageOf } from '../system/errors.ts'
import type { Protection } from '../backup/offsite/protection.ts'
import { isCopied, readOffsite } from '../backup/offsite/state.ts'
import { isOverdue, rulesOf } from '../backup/retention.ts'
import { age } from '../system/format.ts'
import { listSets } from '../backup/sets.ts'
import { bytesOf } from '../backup/manifest.ts'

/** A nightly backup that failed once is late by two hours. */
const LIMIT = 26 * 3_600_000

export interface BackupStatus {
  /** the newest set that was verified */
  last: { name: string; made: string; bytes: number } | null
  /** whether that set is off the site too; null when none is copied there */
  offsite: { copied: boolean; error: string | null; protection: Protection | null } | null
  /** the last attempt, when it is not the one that made that set */
  failed: BackupEntry | null
  drill: Drill | null
  /** the sets that are older than BACKUP_MAX_DAYS, and kept as the last ones */
  overdue: string[]
  /** what is wrong, in words; null when nothing is */
  trouble: string | null
}

// Of the rest of the site status.ts tells all the same.
const setsIn = (folder: string) => {
  try {
    return { ...listSets(folder), unreadable: undefined }
  } catch (error) {
    return { sets: [], unreadable: messageOf(error) }
  }
}

const offsiteStatus = (copied: boolean) => {
  const { error, protection } = readOffsite() ?? {}
  return { copied, error: (!copied && error) || null, protection: protection ?? null }
}

/** A site on localhost has nothing that must be saved; once it has a set, that counts there too. */
export function readBackups(settings: Settings): BackupStatus {
  const { BACKUP_DIR: folder, WHOST: site } = settings
  const { sets, unreadable } = setsIn(folder)
  const [set] = sets
  const attempt = lastBackup()
  const old = set !== undefined && Date.now() - Date.parse(set.made) > LIMIT
  const drill = lastDrill() ?? null
  const copied = set && isCopied(settings, set.name)
  const troubles = [
    unreadable,
    !set && site !== 'localhost' && `there is no backup in ${folder}`,
    old && `the newest backup is ${age(new Date(set.made))} old`,
    copied === false && 'the newest backup is not off the site',
    drill?.result === 'failed' && 'the last drill failed',
    drill?.lost && `the last drill brought back all rows, but not ${drill.lost.join('; ')}`,
  ]
  return {
    last: set ? { name: set.name, made: set.made, bytes: bytesOf(set) } : null,
    offsite: copied === undefined ? null : offsiteStatus(copied),
    failed: attempt?.result === 'failed' ? attempt : null,
    drill,
    overdue: sets.filter(({ made }) => isOverdue(made, rulesOf(settings), new Date())).map(({ name }) => name),
    trouble: troubles.find(trouble => typeof trouble === 'string') ?? null,
  }
}
