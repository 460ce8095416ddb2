// What becomes of a good set: db/dumps/latest.dump, where postgres and the old habits look for it; and the sets that
// nobody needs any more.
import { closeSync, constants, copyFileSync, fchmodSync, fsyncSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DUMP, fileOf, type Manifest, ROLES, ROLES_FILES, rolesFile } from './manifest.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { openPlain, partialBeside, replaceFile } from '../system/files.ts'

export function dumpFile(name: string) {
  return join(DUMPS, `${name}.dump`)
}
export function digestFile(name: string) {
  return `${dumpFile(name)}.sha256`
}

/** The roles that a first start makes before it restores that dump. */
export function rolesBeside(name: string) {
  return join(DUMPS, `${name}-${ROLES}`)
}

// Of whatever set was published before.
export function roleFiles(name: string) {
  return ROLES_FILES.map(file => join(DUMPS, `${name}-${file}`))
}

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
export function publishDump(set: Manifest, plaintext: string, name: string) {
  mkdirSync(DUMPS, { recursive: true, mode: 0o700 })
  // A dump without a digest is fine; one with that of another would look damaged.
  rmSync(digestFile(name), { force: true })
  replaceByCopy(join(plaintext, DUMP), dumpFile(name))
  for (const roles of roleFiles(name)) rmSync(roles, { force: true })
  replaceByCopy(join(plaintext, rolesFile(set)), join(DUMPS, `${name}-${rolesFile(set)}`))
  replaceFile(digestFile(name), `${fileOf(set, DUMP)?.sha256}  ${name}.dump\n`, 0o600)
}
