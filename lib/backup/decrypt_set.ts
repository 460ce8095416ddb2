// An encrypted set, read again for a short time: by whoever brings the key, or without it by the dump that was kept in
// the clear.
import { join } from 'node:path'
import { audit } from '../system/audit.ts'
import { DUMP, INDEX, encryptedName, fileOf, type Manifest, rolesFile } from './manifest.ts'
import { freeSpace, noSpace } from '../system/disk_space.ts'
import { DUMPS, type Folder, openDumpFolder, sweepFolders } from '../postgres/dumps_folder.ts'
import { checkFits, type Key, readKey } from '../crypto/age.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { copyPlain, digest } from '../system/large_files.ts'
import { decryptFile } from '../crypto/encrypted_files.ts'
import { plaintextContents, type Contents } from './objects/catalog.ts'
import { say } from '../system/progress.ts'
import { size } from '../system/format.ts'
import { checkInterruption } from '../system/signals.ts'
import type { BackupSet } from './sets.ts'

/**
 * Reads the key to a set from a file, and notes who does; undefined when the set is not encrypted. Throws a Failure: 64
 * without a file, 65 when it is not the key to this set.
 */
export async function keyTo(
  { name, recipients }: Pick<Manifest, 'name' | 'recipients'>,
  file: string | undefined,
): Promise<Key | undefined> {
  if (!recipients) return undefined
  if (file === undefined) throw usage(`the set ${name} is encrypted`, 'name the file with the private key: --key FILE')
  const key = await readKey(file)
  checkFits(key, recipients, `the set ${name}`)
  audit('decrypting a backup', { set: name })
  return key
}

const changed = (set: Manifest, name: string) =>
  new Failure(`${name} of the set ${set.name} is not what it was when it was saved`, {
    exitCode: EXIT.data,
    hint: 'take another set (scripts/backup.ts --list)',
  })

/** Throws a Failure (65) when a file of a set, in the clear in a folder, is not what the manifest says. */
export async function checkClear(set: Manifest, name: string, folder: string) {
  if ((await digest(join(folder, name))).sha256 === fileOf(set, name)?.sha256) return
  throw changed(set, name)
}

/**
 * Decrypts a file of a set into a folder, under its clear name. Throws a Failure (65) when it is not what the manifest
 * says.
 */
export async function decryptInto(set: BackupSet, key: Key, name: string, folder: string) {
  await decryptFile(key, join(set.folder, fileOf(set, name)?.name ?? name), join(folder, name))
  await checkClear(set, name, folder)
}

/**
 * The uploaded files of a set. Its index is decrypted into a folder; the contents only on their way, so that none of
 * them lies in the clear anywhere.
 */
export async function contentsOf(set: BackupSet, folder: string, key: Key | undefined): Promise<Contents> {
  if (!key || !set.objects) return plaintextContents(set.folder)
  await decryptInto(set, key, INDEX, folder)
  return { folder: set.folder, index: join(folder, INDEX), key }
}

const decryptAll = async (set: BackupSet, key: Key, folder: string) => {
  const [free, wanted] = [freeSpace(DUMPS), fileOf(set, DUMP)?.bytes ?? 0]
  if (free < wanted) throw noSpace(`${DUMPS} has ${size(free)} left, and the dump is ${size(wanted)}`)
  for (const name of [DUMP, rolesFile(set)]) await decryptInto(set, key, name, folder)
}

// The very dump, still there in the clear: postgres's first start would take it. The set's own files were compared with
// it when they were made; that they are still the same, no key is needed to find out.
const copyLatest = async (set: BackupSet, folder: string) => {
  for (const [name, published] of [
    [DUMP, 'latest.dump'],
    [rolesFile(set), `latest-${rolesFile(set)}`],
  ] as const) {
    const file = join(folder, name)
    try {
      await copyPlain(join(DUMPS, published), file)
    } catch (error) {
      checkInterruption()
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw usage(
        `the set ${set.name} is encrypted, and there is no db/dumps/${published}`,
        'name the file with the private key: --key FILE',
      )
    }
    const sealed = encryptedName(name)
    if ((await digest(join(set.folder, sealed))).sha256 !== set.files[sealed]?.sha256) throw changed(set, sealed)
    if ((await digest(file)).sha256 !== fileOf(set, name)?.sha256)
      throw usage(
        `the set ${set.name} is encrypted, and db/dumps/${published} is of another one`,
        'name the file with the private key: --key FILE',
      )
  }
  say.detail(
    `${set.name} is encrypted: db/dumps/latest.dump is restored, which has the sha256 that the manifest names; ` +
      `the set's own files are unchanged. --key FILE restores these`,
  )
}

/**
 * A folder in which the dump and the roles of a set lie in the clear, until it is disposed of: the set's own, or one
 * that is removed then. Only under the data lock. Without a key an encrypted set is read from db/dumps/latest.dump, if
 * that is its dump. Throws a Failure: 64 when it is not, 65 when the set is damaged.
 */
export async function openPlaintext(set: BackupSet, key: Key | undefined): Promise<Folder> {
  if (!set.recipients) return { path: set.folder, dispose: () => {} }
  sweepFolders('run')
  const folder = openDumpFolder('reading')
  try {
    await (key ? decryptAll(set, key, folder.path) : copyLatest(set, folder.path))
    return folder
  } catch (error) {
    await folder.dispose()
    throw error
  }
}
