// The dump of a set, put where the first start of an empty postgres looks for it.
import { DUMP, rolesFile } from './manifest.ts'
import type { Settings } from '../system/settings.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { checkClear, openPlaintext, keyTo } from './decrypt_set.ts'
import { publishDump } from './publish_dump.ts'
import { Scope } from '../system/scope.ts'
import { findSet } from './sets.ts'

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
 * Puts the dump of a set at db/dumps/latest.dump, for the first start of an empty postgres. Gives its name. Throws a
 * Failure: 64 without a key that is needed, 65 when the set is damaged.
 */
export async function publishSet({ settings, name, keyFile, wait }: SetOptions) {
  findSet(settings.BACKUP_DIR, name)
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('publishing a backup', wait))
    const set = findSet(settings.BACKUP_DIR, name)
    const key = await keyTo(set, keyFile)
    work.step('publish', set.name)
    const { path } = scope.use(await openPlaintext(set, key))
    for (const file of [DUMP, rolesFile(set)]) await checkClear(set, file, path)
    publishDump(set, path, 'latest')
    return set.name
  } finally {
    await scope.dispose()
  }
}
