// What is done with one set: tried out, or published.
import { DUMP } from './backup_database.ts'
import type { Settings } from '../config.ts'
import { lastBackup, type BackupEntry } from './backup_run.ts'
import { takeDataLock } from './data_lock.ts'
import { drill } from './drill.ts'
import { messageOf, usage } from '../errors.ts'
import { checkClear, inTheClear, keyTo } from './in_the_clear.ts'
import { notify } from './notice.ts'
import { findServer } from '../postgres.ts'
import { publishDump } from './publish.ts'
import { age, say } from '../say.ts'
import { listSets, rolesFile, setNamed, type BackupSet } from './sets.ts'
import { openStack } from '../stack.ts'

/** The set of a name or of its beginning, or the newest one. Throws a Failure (64) when there is none. */
const findSet = (folder: string, name: string | undefined) => {
  const { sets } = listSets(folder)
  const set = setNamed(sets, name)
  if (set) return set
  throw usage(
    name === undefined ? `there is no set in ${folder}` : `there is no set ${name} in ${folder}`,
    'scripts/backup.ts --list shows the sets',
  )
}

/** Shorter than from one night to the next, whatever the clocks do that night. */
const NIGHTLY = 22 * 3_600_000

/** What is to be said of the newest set when it is not what the last backup should have made; '' when it is. */
export const lateText = (
  { name, made }: Pick<BackupSet, 'name' | 'made'>,
  last: BackupEntry | undefined,
  now: Date,
) => {
  const failed = last?.result === 'failed'
  if (!failed && now.getTime() - Date.parse(made) < NIGHTLY) return ''
  return `${failed ? 'the last backup failed' : 'no backup was made since'}: ${name}, the newest set, is ${age(new Date(made), now)} old`
}

export interface SetOptions {
  settings: Settings
  /** of the set, or its beginning; the newest one without */
  name: string | undefined
  /** the file with the private key to an encrypted set */
  keyFile: string | undefined
  /** queue for the lock */
  wait: boolean
}

/**
 * Tries a set out. Gives its name and the seconds to recover. Throws a Failure: 64 for an unknown set, 65 when what it
 * brings back is not what it should hold.
 */
export const tryOut = async ({ settings, name, keyFile, wait }: SetOptions) => {
  findSet(settings.BACKUP_DIR ?? '', name)
  const listeners = { ...settings, PING_URL: '' }
  const work = await takeDataLock('trying a backup out', wait)
  try {
    // Looked for again: whoever held the lock may have made a newer one, and removed another.
    const set = findSet(settings.BACKUP_DIR ?? '', name)
    const late = name === undefined ? lateText(set, lastBackup(), new Date()) : ''
    if (late !== '') say.warn(late)
    try {
      const key = keyFile === undefined ? undefined : await keyTo(set, keyFile)
      const { project } = await openStack()
      const { image } = await findServer(project, settings)
      const { seconds, lost } = await inTheClear(set, key, folder => drill(project, image, set, folder, work))
      const missing =
        lost.length === 0
          ? ''
          : `, but ${lost.length} of its objects could not be made again: ${lost.map(({ object }) => object).join('; ')}`
      await notify(
        listeners,
        missing === '',
        `drill: ${set.name} was restored into a throw-away server in ${seconds} s${missing}${late && `; ${late}`}`,
      )
      return { set: set.name, seconds, lost }
    } catch (error) {
      await notify(listeners, false, `the drill of ${set.name} failed: ${messageOf(error)}`)
      throw error
    }
  } finally {
    await work.release()
  }
}

/**
 * Puts the dump of a set at db/dumps/latest.dump, for the first start of an empty postgres. Gives its name. Throws a
 * Failure: 64 without a key that is needed, 65 when the set is damaged.
 */
export const publishSet = async ({ settings, name, keyFile, wait }: SetOptions) => {
  findSet(settings.BACKUP_DIR ?? '', name)
  const work = await takeDataLock('publishing a backup', wait)
  try {
    const set = findSet(settings.BACKUP_DIR ?? '', name)
    const key = await keyTo(set, keyFile)
    work.step('publish', set.name)
    await inTheClear(set, key, async folder => {
      for (const file of [DUMP, rolesFile(set)]) await checkClear(set, file, folder)
      publishDump(set, folder, 'latest')
    })
    return set.name
  } finally {
    await work.release()
  }
}
