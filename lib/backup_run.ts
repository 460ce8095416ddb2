// A backup, and a drill, from the lock to the words that others hear of it.
import { makeSet } from './backup.ts'
import type { Settings } from './config.ts'
import { takeDataLock } from './data_lock.ts'
import { drill } from './drill.ts'
import { messageOf, usage } from './errors.ts'
import { appendLine, readLines, stateFile } from './files.ts'
import { removeFormer } from './former.ts'
import { who } from './history.ts'
import { setText } from './backup_report.ts'
import { notify } from './notice.ts'
import { findServer } from './postgres.ts'
import { applyRetention, publishDump } from './publish.ts'
import type { Rules } from './retention.ts'
import { say } from './say.ts'
import { listSets, type BackupSet } from './sets.ts'
import { openStack } from './stack.ts'
import { sweepRestores } from './sweep_restores.ts'

export interface BackupOptions {
  settings: Settings
  /** what the set's name begins with */
  prefix: string
  /** the names in db/dumps that the dump is published under */
  names: string[]
  rules: Rules
  /** save the uploaded files too */
  withFiles: boolean
  /** queue for the lock */
  wait: boolean
}

/** What a backup leaves in the history, good or bad. */
export interface BackupEntry {
  /** ISO 8601, UTC */
  time: string
  who: string
  result: 'made' | 'failed'
  set?: string
  error?: string
}

const FILE = 'backups.jsonl'

const note = (entry: Omit<BackupEntry, 'time' | 'who'>) => {
  try {
    appendLine(FILE, { time: new Date().toISOString(), who: who(), ...entry })
  } catch (error) {
    say.warn(`this backup could not be noted in ${stateFile(FILE)}: ${messageOf(error)}`)
  }
}

/** How the last backup ended; undefined when there was none. */
export const lastBackup = () => readLines<BackupEntry>(FILE).at(-1)

/**
 * Makes a set, publishes its dump, and removes the sets that nobody needs any more; after a failure nothing is removed. Throws a Failure: 65 when the dump is not what
 * the database had, 69 when postgres does not answer, 73 and 74 for the folder and its space, 75 when another backup or restore runs.
 */
export const backUp = async ({ settings, prefix, names, rules, withFiles, wait }: BackupOptions): Promise<BackupSet> => {
  const folder = settings.BACKUP_DIR ?? ''
  const work = await takeDataLock('backing up', wait)
  try {
    const stack = await openStack()
    const server = await findServer(stack.project, settings)
    const set = await makeSet({ stack, server, settings, folder, prefix, withFiles, work })
    work.step('publish', names.map(name => `db/dumps/${name}.dump`).join(', '))
    for (const name of names) publishDump(set, name)
    work.step('tidy')
    await sweepRestores(server)
    const removed = [...applyRetention(folder, rules), ...(await removeFormer(server, Number(settings.FORMER_DAYS)))]
    for (const name of removed) say.detail(`removed ${name}`)
    note({ result: 'made', set: set.name })
    await notify(settings, true, `backup ${setText(set)}`)
    return set
  } catch (error) {
    note({ result: 'failed', error: messageOf(error).slice(0, 300) })
    await notify(settings, false, `the backup failed: ${messageOf(error)}`)
    throw error
  } finally {
    await work.release()
  }
}

/**
 * Tries a set out, the newest one without a name. Gives its name and the seconds to recover. Throws a Failure: 64 for an unknown set, 65 when what it brings back is
 * not what it should hold.
 */
export const tryOut = async (settings: Settings, name: string | undefined, wait: boolean) => {
  const folder = settings.BACKUP_DIR ?? ''
  const { sets } = listSets(folder)
  const set = name === undefined ? sets[0] : sets.find(it => it.name === name)
  if (!set) throw usage(name === undefined ? `there is no set in ${folder} to try out` : `there is no set ${name} in ${folder}`, 'scripts/backup.ts --list shows the sets')
  const listeners = { ...settings, PING_URL: '' }
  const work = await takeDataLock('trying a backup out', wait)
  try {
    const { project } = await openStack()
    const seconds = await drill(project, (await findServer(project, settings)).image, set, work)
    await notify(listeners, true, `drill: ${set.name} was restored into a throw-away server in ${seconds} s`)
    return { set: set.name, seconds }
  } catch (error) {
    await notify(listeners, false, `the drill of ${set.name} failed: ${messageOf(error)}`)
    throw error
  } finally {
    await work.release()
  }
}
