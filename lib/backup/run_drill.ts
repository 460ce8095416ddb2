// A set is tried out in a throw-away server, and whoever is to hear of it is told.
import { openStack } from '../docker/stack.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { readConfig } from '../docker/stack_config.ts'
import { findServer, loginsOf } from '../postgres/server.ts'
import { messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { age } from '../system/format.ts'
import { notify } from '../system/notify.ts'
import { Scope } from '../system/scope.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { openPlaintext, keyTo } from './decrypt_set.ts'
import { drill } from './drill.ts'
import { appsText } from './set_summary.ts'
import type { SetOptions } from './publish_set.ts'
import { type BackupEntry, lastBackup } from './run_backup.ts'
import { type BackupSet, findSet } from './sets.ts'

/** Shorter than from one night to the next, whatever the clocks do that night. */
const NIGHTLY = 22 * 3_600_000

/** What is to be said of the newest set when it is not what the last backup should have made; undefined when it is. */
export function lateText({ name, made }: Pick<BackupSet, 'name' | 'made'>, last: BackupEntry | undefined, now: Date) {
  const failed = last?.result === 'failed'
  if (!failed && now.getTime() - Date.parse(made) < NIGHTLY) return undefined
  return (
    `${failed ? 'the last backup failed' : 'no backup was made since'}: ${name}, the newest set, is ` +
    `${age(new Date(made), now)} old`
  )
}

/**
 * Tries a set out. Gives its name and the seconds to recover. Throws a Failure: 64 for an unknown set, 65 when what it
 * brings back is not what it should hold.
 */
export async function runDrill({ settings, name, keyFile, wait }: SetOptions) {
  findSet(settings.BACKUP_DIR, name)
  const listeners = { ...settings, PING_URL: undefined }
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('trying a backup out', wait))
    // Looked for again: whoever held the lock may have made a newer one, and removed another.
    const set = findSet(settings.BACKUP_DIR, name)
    const late = name === undefined ? lateText(set, lastBackup(), new Date()) : undefined
    if (late !== undefined) say.warn(late)
    try {
      const key = keyFile === undefined ? undefined : await keyTo(set, keyFile)
      const stack = await openStack()
      const config = await readConfig(composeFiles())
      const { image } = await findServer(stack.project, settings)
      const { path } = scope.use(await openPlaintext(set, key))
      const logins = loginsOf(settings)
      const { seconds, lost, apps } = await drill({ stack, config, image, logins, set, folder: path, work })
      const said = [`drill: ${set.name} was restored into a throw-away server in ${seconds} s${appsText(apps)}`]
      if (lost.length > 0) {
        const objects = lost.map(({ object }) => object).join('; ')
        said.push(`, but ${lost.length} of its objects could not be made again: ${objects}`)
      }
      if (late !== undefined) said.push(`; ${late}`)
      await notify(listeners, lost.length === 0, said.join(''))
      return { set: set.name, seconds, lost, apps }
    } catch (error) {
      await notify(listeners, false, `the drill of ${set.name} failed: ${messageOf(error)}`)
      throw error
    }
  } finally {
    await scope.dispose()
  }
}
