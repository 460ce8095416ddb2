// The uploaded files of a backup set alone: the database is not touched, and a deploy may go on meanwhile.
import { dirname } from 'node:path'
import { type BackupSet, findSet, listSets, newestWithFiles } from '../backup/sets.ts'
import { findDump } from './find_dump.ts'
import type { RestoreOptions } from './restore.ts'
import type { Settings } from '../system/settings.ts'
import { contentsOf, keyTo } from '../backup/decrypt_set.ts'
import { type Difference, type Restored, restoreObjects } from '../backup/objects/restore.ts'
import type { Stack } from '../docker/stack.ts'
import { openDumpFolder, sweepFolders } from '../postgres/dumps_folder.ts'
import { audit } from '../system/audit.ts'
import { usage } from '../system/errors.ts'
import { Scope } from '../system/scope.ts'
import { takeDataLock } from '../system/work_lock.ts'

export interface FilesRequest {
  /** the name of a set, its beginning, or a path to it; without it the newest set that has files */
  word: string | undefined
  /** the file with the private key to an encrypted set */
  keyFile: string | undefined
}

export interface FilesPlan extends Difference {
  set: string
  folder: string
  /** ISO 8601, UTC */
  made: string
}

export interface FilesResult extends Restored {
  result: 'files restored'
  set: string
  /** spent in each step */
  seconds: Record<string, number>
}

const HINT = 'scripts/backup.ts --list shows the sets, and which have files'

const findSetWithFiles = (word: string | undefined, folder: string): BackupSet => {
  if (word === undefined) {
    const newest = newestWithFiles(listSets(folder).sets)
    if (newest) return newest
    throw usage(`there is no set with uploaded files in ${folder}`, HINT)
  }
  const set = word.includes('/') ? setAt(word, folder) : findSet(folder, word)
  if (!set.objects) throw usage(`the set ${set.name} has no uploaded files with it`, HINT)
  return set
}

// A dump names its set as well.
const setAt = (path: string, folder: string) => {
  const { manifest, path: dump } = findDump(path, folder)
  if (manifest) return { ...manifest, folder: dirname(dump) }
  throw usage(`there is no set ${path} in ${folder}`, HINT)
}

/**
 * Brings back those files of a set that are missing or differ, and removes none. Gives undefined when it was only to be
 * planned. Throws a Failure: 64 for a set that is not there or has no files, 65 when one that is needed is damaged
 * (nothing was touched then), 75 while a backup or a restore runs.
 */
export async function restoreFiles(
  stack: Stack,
  settings: Settings,
  { word, keyFile }: FilesRequest,
  { wait, onPlan: agree }: RestoreOptions<FilesPlan>,
): Promise<FilesResult | undefined> {
  const find = () => findSetWithFiles(word, settings.BACKUP_DIR)
  await keyTo(find(), keyFile)
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('restoring files', wait))
    sweepFolders('run')
    // Looked for again: a backup that held the lock may have removed it.
    const set = find()
    const key = await keyTo(set, keyFile)
    const onPlan = async (difference: Difference) => {
      const { name, folder, made } = set
      const agreed = await agree({ set: name, folder, made, ...difference })
      if (agreed) audit('restore of files', { set: name, ...difference })
      return agreed
    }
    work.step('files', `those of ${set.name} that are missing or differ`)
    const { path } = scope.use(openDumpFolder('reading'))
    const contents = await contentsOf(set, path, key)
    const restored = await restoreObjects({ stack, settings, contents, onPlan })
    return restored && { result: 'files restored', set: set.name, ...restored, seconds: work.seconds() }
  } finally {
    await scope.dispose()
  }
}
