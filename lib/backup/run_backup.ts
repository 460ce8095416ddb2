// A backup, from the lock to the words that others hear of it.
import { makeSet } from './make_set.ts'
import type { Settings } from '../system/settings.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { sweepFolders } from '../postgres/dumps_folder.ts'
import { openEncryptor } from '../crypto/age.ts'
import { detailsOf, Failure, messageOf } from '../system/errors.ts'
import { appendLine, readLines, stateFile } from '../system/state_folder.ts'
import * as v from 'valibot'
import { time } from '../system/schema.ts'
import { removeFormer } from '../postgres/former_databases.ts'
import { setText } from './set_summary.ts'
import { isOffsite, withOffsite } from './offsite/layout.ts'
import { copySets } from './offsite/push.ts'
import { pruneOffsite } from './offsite/prune.ts'
import { noteOffsite } from './offsite/state.ts'
import { notify } from '../system/notify.ts'
import { who } from '../system/identity.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { publishDump } from './publish_dump.ts'
import { applyRetention } from './apply_retention.ts'
import { type Rules, rulesOf } from './retention.ts'
import { say } from '../system/log.ts'
import { type BackupSet, listSets } from './sets.ts'
import { openStack } from '../docker/stack.ts'
import { sweepRestores } from '../postgres/sweep.ts'

interface BackupOptions {
  settings: Settings
  /** what the set's name begins with */
  prefix: string
  /** the names in db/dumps that the dump is published under */
  names: string[]
  /** save the uploaded files too */
  withFiles: boolean
  /** queue for the lock */
  wait: boolean
}

/** What a backup leaves in the history, good or bad. */
const ENTRY = v.object({
  time,
  who: v.optional(v.string(), ''),
  result: v.picklist(['made', 'failed']),
  set: v.exactOptional(v.string()),
  error: v.exactOptional(v.string()),
})

export type BackupEntry = v.InferOutput<typeof ENTRY>

const FILE = 'backups.jsonl'

const note = (entry: Omit<BackupEntry, 'time' | 'who'>) => {
  try {
    appendLine(FILE, { time: new Date().toISOString(), who: who(), ...entry })
  } catch (error) {
    say.warn(`this backup could not be noted in ${stateFile(FILE)}: ${messageOf(error)}`)
  }
}

/**
 * Copies what is not off the site yet; then the rules hold there too. A Failure leaves the set as it is: it counts
 * here.
 */
const copyOffsite = async (settings: Settings, rules: Rules, work: DataWork) => {
  work.step('copy', 'off the site, what is not there yet')
  try {
    const here = listSets(settings.BACKUP_DIR).sets
    await withOffsite(settings, async site => {
      const copied = await copySets(site, here)
      noteOffsite({ sets: copied })
      const removed = await pruneOffsite(
        site,
        rules,
        here.map(({ name }) => name),
      )
      for (const name of removed) say.detail(`removed ${name} off the site`)
      noteOffsite({ sets: copied.filter(name => !removed.includes(name)) })
    })
  } catch (error) {
    noteOffsite({ error })
    throw error
  }
}

/** What follows when a set is made: whatever fails of it, the set counts. */
const afterwards = async <T>({ name }: BackupSet, what: string, work: () => Promise<T> | T) => {
  try {
    return await work()
  } catch (error) {
    throw new Failure(
      `the backup ${name} is made, and counts on this server, but ${what} did not end: ${messageOf(error)}`,
      {
        ...detailsOf(error),
        hint: [detailsOf(error).hint, 'the next backup does it again'].filter(Boolean).join('; '),
      },
    )
  }
}

/** How the last backup ended; undefined when there was none. */
export const lastBackup = () => readLines(FILE, ENTRY).at(-1)

/**
 * Makes a set, publishes its dump, and removes the sets that nobody needs any more; after a failure nothing is removed.
 * Throws a Failure: 65 when the dump is not what the database had, 69 when postgres does not answer, 73 and 74 for the
 * folder and its space, 75 when another backup or restore runs, 78 for a wrong BACKUP_RECIPIENTS.
 */
export const backUp = async ({ settings, prefix, names, withFiles, wait }: BackupOptions): Promise<BackupSet> => {
  const [folder, rules] = [settings.BACKUP_DIR, rulesOf(settings)]
  const work = await takeDataLock('backing up', wait)
  let isMade = false
  try {
    const [encryptor, offsite] = [await openEncryptor(settings), isOffsite(settings)]
    sweepFolders('run')
    const stack = await openStack()
    const server = await openSessions(await findServer(stack.project, settings))
    const set = await makeSet(
      { stack, server, settings, folder, prefix, withFiles, encryptor, work },
      async (made, clear) => {
        isMade = true
        note({ result: 'made', set: made.name })
        await afterwards(made, 'publishing its dump', () => {
          work.step('publish', names.map(name => `db/dumps/${name}.dump`).join(', '))
          for (const name of names) publishDump(made, clear, name)
        })
      },
    )
    await afterwards(set, 'tidying up', async () => {
      work.step('tidy')
      await sweepRestores(stack.project, server)
      const removed = [...applyRetention(folder, rules), ...(await removeFormer(server, settings.FORMER_DAYS))]
      for (const name of removed) say.detail(`removed ${name}`)
    })
    if (offsite) await afterwards(set, 'the copy off the site', () => copyOffsite(settings, rules, work))
    await notify(settings, true, `backup ${setText(set)}`)
    return set
  } catch (error) {
    if (!isMade) note({ result: 'failed', error: messageOf(error).slice(0, 300) })
    await notify(settings, false, isMade ? messageOf(error) : `the backup failed: ${messageOf(error)}`)
    throw error
  } finally {
    await work.release()
  }
}
