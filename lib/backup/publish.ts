// What becomes of a good set: db/dumps/latest.dump, where postgres and the old habits look for it; and the sets that
// nobody needs any more.
import { closeSync, constants, copyFileSync, fchmodSync, fsyncSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DUMP } from './backup_database.ts'
import { DUMPS } from './dumps_folder.ts'
import { openPlain, partialBeside, readPlainIfThere, replaceFile } from '../files.ts'
import { retain, type Kept, type Rules } from './retention.ts'
import { fileOf, listSets, partialOf, prefixOf, ROLES_FILES, rolesFile, type BackupSet, type Manifest } from './sets.ts'

const dumpFile = (name: string) => join(DUMPS, `${name}.dump`)
const digestFile = (name: string) => `${dumpFile(name)}.sha256`
// Of whatever set was published before.
const roleFiles = (name: string) => ROLES_FILES.map(file => join(DUMPS, `${name}-${file}`))

// A copy and not a link: whoever writes to it, as the old scripts did, must not write to the set. No space is taken
// where the file system can share.
const replaceByCopy = (source: string, file: string) => {
  const partial = partialBeside(file)
  try {
    copyFileSync(source, partial, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    const descriptor = openPlain(partial)
    fchmodSync(descriptor, 0o600)
    fsyncSync(descriptor)
    closeSync(descriptor)
    renameSync(partial, file)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}

/**
 * Puts a set's dump into db/dumps under a name, from the folder where it lies in the clear, with its sha256 beside it
 * (sha256sum -c reads it). At each moment there is a good dump, or the one before.
 */
export const publishDump = (set: Manifest, clear: string, name: string) => {
  mkdirSync(DUMPS, { recursive: true, mode: 0o700 })
  // A dump without a digest is fine; one with that of another would look damaged.
  rmSync(digestFile(name), { force: true })
  replaceByCopy(join(clear, DUMP), dumpFile(name))
  for (const roles of roleFiles(name)) rmSync(roles, { force: true })
  replaceByCopy(join(clear, rolesFile(set)), join(DUMPS, `${name}-${rolesFile(set)}`))
  replaceFile(digestFile(name), `${fileOf(set, DUMP)?.sha256}  ${name}.dump\n`, 0o600)
}

const unpublish = (set: BackupSet) => {
  const name = prefixOf(set.name)
  const published = readPlainIfThere(digestFile(name))
  if (name === 'latest' || !published?.startsWith(fileOf(set, DUMP)?.sha256 ?? '-')) return
  for (const file of [dumpFile(name), digestFile(name), ...roleFiles(name)]) rmSync(file, { force: true })
}

// Whole, or no set any more: if this is killed the next sweep ends it.
const removeSet = (set: BackupSet) => {
  unpublish(set)
  const partial = partialOf(set.folder)
  renameSync(set.folder, partial)
  rmSync(partial, { recursive: true, force: true })
}

/** What the rules say of each set of a folder. */
export const planRetention = (folder: string, rules: Rules): Kept[] => retain(listSets(folder).sets, rules, new Date())

/** Removes the sets that the rules do not keep, and what was published of them; gives their names. */
export const applyRetention = (folder: string, rules: Rules) => {
  const { sets } = listSets(folder)
  const goes = new Set(
    retain(sets, rules, new Date())
      .filter(({ keep }) => !keep)
      .map(({ name }) => name),
  )
  const removed = sets.filter(({ name }) => goes.has(name))
  for (const set of removed) removeSet(set)
  return removed.map(({ name }) => name)
}
