// What status.ts says of the backups.
import { lastBackup, type BackupEntry } from './backup_run.ts'
import type { Settings } from '../config.ts'
import { lastDrill, type Drill } from './drill.ts'
import { messageOf } from '../errors.ts'
import { isCopied, readOffsite } from './offsite_state.ts'
import { isOverdue, rulesOf } from './retention.ts'
import { age, paint, size } from '../say.ts'
import { bytesOf, listSets } from './sets.ts'

/** A nightly backup that failed once is late by two hours. */
const LIMIT = 26 * 3_600_000

export interface BackupState {
  /** the newest set that was verified */
  last: { name: string; made: string; bytes: number } | null
  /** whether that set is off the site too; null when none is copied there */
  offsite: { copied: boolean; error: string } | null
  /** the last attempt, when it is not the one that made that set */
  failed: BackupEntry | null
  drill: Drill | null
  /** the sets that are older than BACKUP_MAX_DAYS, and kept as the last ones */
  overdue: string[]
  /** what is wrong, in words; empty when nothing is */
  trouble: string
}

// Of the rest of the site status.ts tells all the same.
const setsIn = (folder: string) => {
  try {
    return { ...listSets(folder), unreadable: undefined }
  } catch (error) {
    return { sets: [], unreadable: messageOf(error) }
  }
}

/** A site on localhost has nothing that must be saved; once it has a set, that counts there too. */
export const readBackups = (settings: Settings): BackupState => {
  const { BACKUP_DIR: folder = '', WHOST: site } = settings
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
    offsite: copied === undefined ? null : { copied, error: copied ? '' : (readOffsite()?.error ?? '') },
    failed: attempt?.result === 'failed' ? attempt : null,
    drill,
    overdue: sets.filter(({ made }) => isOverdue(made, rulesOf(settings), new Date())).map(({ name }) => name),
    trouble: troubles.find(trouble => typeof trouble === 'string') ?? '',
  }
}

/** The same in words. */
export const backupText = ({ last, offsite, failed, drill, overdue, trouble }: BackupState) => {
  const mark = trouble ? paint.red('✗') : last ? paint.green('✓') : paint.dim('·')
  const set = last ? `${last.name}, verified, ${age(new Date(last.made))} old, ${size(last.bytes)}` : 'none yet'
  const tried = drill
    ? `${age(new Date(drill.time))} ago, ${drill.set} ${drill.result === 'restored' ? `was restored in ${drill.seconds} s` : `FAILED: ${drill.error}`}`
    : 'none yet'
  const lines = [`${mark} last backup  ${[set, trouble].filter(Boolean).join(' · ')}`, `  last drill   ${tried}`]
  if (failed) lines.push(`  the last attempt failed ${age(new Date(failed.time))} ago: ${failed.error}`)
  if (offsite)
    lines.push(
      `  off the site ${offsite.copied ? 'it is there too' : ['it is not there', offsite.error].filter(Boolean).join(': ')}`,
    )
  if (overdue.length > 0)
    lines.push(`  older than BACKUP_MAX_DAYS: ${overdue.join(', ')} (the last ones are kept whatever their age)`)
  return lines.join('\n')
}
