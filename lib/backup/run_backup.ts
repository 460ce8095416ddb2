// A backup, from the lock to the words that others hear of it.
// Long, since it is the order in which a night goes, and what still counts when a part of it fails.
import { makeSet, type MadeSet } from './make_set.ts'
import { keepIndex } from './encrypt_set.ts'
import { Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { sweepFolders } from '../postgres/dumps_folder.ts'
import { openEncryptor } from '../crypto/age.ts'
import { detailsOf, Failure, messageOf } from '../system/errors.ts'
import { appendLine, readLines, stateFile } from '../system/state_folder.ts'
import * as v from 'valibot'
import { time } from '../system/schema.ts'
import { removeRowUndos } from '../postgres/row_undo.ts'
import { removeFormer } from '../postgres/former_databases.ts'
import { setText } from './set_summary.ts'
import { isOffsite, openOffsite } from './offsite/layout.ts'
import { copySets } from './offsite/push.ts'
import { pruneOffsite } from './offsite/prune.ts'
import { noteOffsite } from './offsite/state.ts'
import { notify } from '../system/notify.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import { who } from '../system/identity.ts'
import { collationTrouble } from '../postgres/collations.ts'
import { findServer, openSessions, type Server } from '../postgres/server.ts'
import { publishDump } from './publish_dump.ts'
import { applyRetention } from './apply_retention.ts'
import { type Rules, rulesOf } from './retention.ts'
import { say } from '../system/progress.ts'
import { type BackupSet, listSets } from './sets.ts'
import { openStack, type Stack } from '../docker/stack.ts'
import { sweepRestores } from '../postgres/sweep.ts'
import { removeFormerVolumes, upgradeTrouble } from '../postgres/upgrade_note.ts'

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
  const scope = new Scope()
  try {
    const here = listSets(settings.BACKUP_DIR).sets
    const site = scope.use(await openOffsite(settings))
    const copied = await copySets(site, here)
    noteOffsite({ sets: copied, protection: await site.protection() })
    const names = here.map(({ name }) => name)
    const removed = await pruneOffsite(site, rules, names)
    for (const name of removed) say.detail(`removed ${name} off the site`)
    noteOffsite({ sets: copied.filter(name => !removed.includes(name)) })
  } catch (error) {
    noteOffsite({ error })
    throw error
  } finally {
    await scope.dispose()
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
export function lastBackup() {
  return readLines(FILE, ENTRY).at(-1)
}

interface Made extends MadeSet {
  stack: Stack
  server: Server
  /** it is to be copied off the site */
  offsite: boolean
}

const make = async ({ settings, prefix, withFiles }: BackupOptions, work: DataWork): Promise<Made> => {
  try {
    const [encryptor, offsite] = [await openEncryptor(settings), isOffsite(settings)]
    sweepFolders('run')
    const stack = await openStack()
    const server = await openSessions(await findServer(stack.project, settings))
    const folder = settings.BACKUP_DIR
    const made = await makeSet({ stack, server, settings, folder, prefix, withFiles, encryptor, work })
    note({ result: 'made', set: made.set.name })
    return { ...made, stack, server, offsite }
  } catch (error) {
    await tellFailed(settings, error)
    throw error
  }
}

const tellFailed = async (settings: Settings, error: unknown) => {
  note({ result: 'failed', error: messageOf(error).slice(0, 300) })
  await notify(settings, false, `the backup failed: ${messageOf(error)}`)
}

const finish = async ({ settings, names }: BackupOptions, work: DataWork, made: Made) => {
  const { set, plaintext, stack, server, offsite } = made
  const rules = rulesOf(settings)
  try {
    await afterwards(set, 'publishing its dump', () => {
      work.step('publish', names.map(name => `db/dumps/${name}.dump`).join(', '))
      for (const name of names) publishDump(set, plaintext, name)
    })
    await afterwards(set, 'tidying up', async () => {
      work.step('tidy')
      if (set.recipients && set.objects) keepIndex(plaintext)
      // Else it would be swept as what another one has left.
      await made.dispose()
      await sweepRestores(stack.project, server)
      const removed = [
        ...applyRetention(settings.BACKUP_DIR, rules),
        ...(await removeFormer(server, settings.FORMER_DAYS)),
        ...(await removeFormerVolumes(settings)),
        ...removeRowUndos(settings.FORMER_DAYS),
      ]
      for (const name of removed) say.detail(`removed ${name}`)
      for (const trouble of [upgradeTrouble(), await collationTrouble(server)].filter(it => it !== undefined))
        say.warn(trouble)
    })
    if (offsite) await afterwards(set, 'the copy off the site', () => copyOffsite(settings, rules, work))
  } catch (error) {
    await notify(settings, false, messageOf(error))
    throw error
  }
  await notify(settings, true, `backup ${setText(set)}`)
}

const begin = async ({ settings, prefix, withFiles }: BackupOptions) => {
  try {
    return await runBefore('backup', settings, { prefix, files: withFiles })
  } catch (error) {
    await tellFailed(settings, error)
    throw error
  }
}

/**
 * Makes a set, publishes its dump, and removes the sets that nobody needs any more; after a failure nothing is removed.
 * Throws a Failure: 65 when the dump is not what the database had, 69 when postgres does not answer, 73 and 74 for the
 * folder and its space, 75 when another backup or restore runs, 77 when the hook before it refuses, 78 for a wrong
 * BACKUP_RECIPIENTS or hook.
 */
export async function backUp(options: BackupOptions): Promise<BackupSet> {
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('backing up', options.wait))
    const after = await begin(options)
    return await tellAfter(
      after,
      async () => {
        const made = scope.use(await make(options, work))
        await finish(options, work, made)
        return made.set
      },
      ({ name, folder }) => ({ set: name, folder }),
    )
  } finally {
    await scope.dispose()
  }
}
