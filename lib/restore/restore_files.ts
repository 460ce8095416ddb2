// The uploaded files of a backup set alone: the database is not touched, and a deploy may go on meanwhile.
import { dirname } from 'node:path'
import { type BackupSet, findSet, listSets, newestWithFiles } from '../backup/sets.ts'
import { findDump } from './find_dump.ts'
import type { Settings } from '../system/settings.ts'
import { contentsOf, keyTo } from '../backup/decrypt_set.ts'
import { type Difference, type RestoredFiles, openObjects } from '../backup/objects/restore.ts'
import type { Stack } from '../docker/stack.ts'
import { openDumpFolder, sweepFolders } from '../postgres/dumps_folder.ts'
import { audit } from '../system/audit.ts'
import { usage } from '../system/errors.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import { type Planned, Scope } from '../system/scope.ts'
import { takeDataLock } from '../system/work_lock.ts'

export interface FilesRequest {
  /** the name of a set, its beginning, or a path to it; without it the newest set that has files */
  name: string | undefined
  /** the file with the private key to an encrypted set */
  keyFile: string | undefined
}

export interface FilesPlan extends Difference {
  set: string
  folder: string
  /** ISO 8601, UTC */
  made: string
}

export interface FilesResult extends RestoredFiles {
  result: 'files restored'
  set: string
  /** spent in each step */
  seconds: Record<string, number>
}

const HINT = 'scripts/backup.ts --list shows the sets, and which have files'

const findSetWithFiles = (name: string | undefined, folder: string): BackupSet => {
  if (name === undefined) {
    const newest = newestWithFiles(listSets(folder).sets)
    if (newest) return newest
    throw usage(`there is no set with uploaded files in ${folder}`, HINT)
  }
  const set = name.includes('/') ? setAt(name, folder) : findSet(folder, name)
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
 * Compares the files of a set with those of the site, and plans to bring back those that are missing or differ; none is
 * removed. Throws a Failure: 64 for a set that is not there or has no files, 65 when one that is needed is damaged
 * (nothing was touched then), 75 while a backup or a restore runs.
 */
export async function openFilesRestore(
  stack: Stack,
  settings: Settings,
  { name, keyFile }: FilesRequest,
  wait: boolean,
): Promise<Planned<FilesPlan, FilesResult>> {
  const find = () => findSetWithFiles(name, settings.BACKUP_DIR)
  await keyTo(find(), keyFile)
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('restoring files', wait))
    sweepFolders('run')
    // Looked for again: a backup that held the lock may have removed it.
    const set = find()
    const key = await keyTo(set, keyFile)
    work.step('files', `those of ${set.name} that are missing or differ`)
    const { path } = scope.use(openDumpFolder('reading'))
    const objects = scope.use(await openObjects({ stack, settings, contents: await contentsOf(set, path, key) }))
    const restoreThem = async () => {
      audit('restore of files', { set: set.name, ...objects.plan })
      const restored = await objects.execute()
      return { result: 'files restored' as const, set: set.name, ...restored, seconds: work.seconds() }
    }
    const execute = async () => {
      const about = { kind: 'files', from: set.folder, database: null, former: null }
      return tellAfter(await runBefore('restore', settings, about), restoreThem, ({ uploaded }) => ({
        files: uploaded,
      }))
    }
    const plan = { set: set.name, folder: set.folder, made: set.made, ...objects.plan }
    return { plan, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
