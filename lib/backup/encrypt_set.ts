// What is different when a backup set is encrypted. Its dump, roles and index are written to the server's own disk
// first, where they are verified, and beside which the database lies in the clear anyway: nothing clear ever comes to
// the disk of the backups. The contents of the uploaded files are encrypted as they come from minio.
import { chmodSync, copyFileSync, existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { DUMP, INDEX, encryptedName, fileOf, type FileOfSet, LIST, ROLES } from './manifest.ts'
import { freeSpace, noSpace } from '../system/disk_space.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { type Encryptor, isSameRecipients } from '../crypto/age.ts'
import { sync } from '../system/files.ts'
import { stateFile } from '../system/state_folder.ts'
import { digest } from '../system/large_files.ts'
import { encryptFile, writeStream } from '../crypto/encrypted_files.ts'
import { plaintextContents, contentFile, type Contents, readIndex, storedDigest } from './objects/catalog.ts'
import { say } from '../system/progress.ts'
import { size } from '../system/format.ts'
import type { BackupSet } from './sets.ts'
import { interruption } from '../system/signals.ts'

/**
 * Throws a Failure (74) when the server's own disk has no room for the clear dump, and for db/dumps/latest.dump beside
 * it.
 */
export function checkPlaintextRoom(previous: BackupSet | undefined) {
  const [free, wanted] = [freeSpace(DUMPS), 2 * ((previous && fileOf(previous, DUMP)?.bytes) ?? 0)]
  if (free < wanted)
    throw noSpace(
      `${DUMPS} has ${size(free)} left, and twice the last dump (${size(wanted)}) is wanted: it is encrypted from ` +
        'there',
    )
}

const cache = () => stateFile(INDEX)

/**
 * The previous set that this one may share contents with, and its index. The index in an encrypted set cannot be read
 * here, so that of the last run is kept in the clear in .state (0600): it tells no more than minio does, on the same
 * disk. It is trusted only as the index of the set whose manifest has its sha256 (a run that was killed, or a set that
 * was removed, may have left another), and contents are shared only between sets with the same recipients: who gets a
 * key today must be able to read the whole set. When there is none, all is fetched and encrypted anew: that costs time
 * and space, and nothing else.
 */
export async function previousContents(
  sets: BackupSet[],
  encryptor: Encryptor | undefined,
): Promise<Contents | undefined> {
  const alike = sets.filter(({ objects, recipients }) => objects && isSameRecipients(recipients, encryptor?.recipients))
  if (!encryptor) return alike[0] && plaintextContents(alike[0].folder)
  const sha256 = existsSync(cache()) ? (await digest(cache())).sha256 : undefined
  const set = alike.find(it => fileOf(it, INDEX)?.sha256 === sha256)
  if (set) return { folder: set.folder, index: cache() }
  if (sets.some(({ objects }) => objects))
    say.detail(
      'no set before is encrypted to the same recipients and known here by its files: all are fetched and encrypted',
    )
  return undefined
}

/** Keeps the index of the set that has just been made, for the next one. */
export function keepIndex(plaintext: string) {
  const partial = `${cache()}.partial`
  copyFileSync(join(plaintext, INDEX), partial)
  chmodSync(partial, 0o600)
  sync(partial)
  renameSync(partial, cache())
}

// Each content once, as sha256sum writes it.
const listOf = async function* (contents: Contents) {
  const seen = new Set<string>()
  for await (const entry of readIndex(contents)) {
    const { sha256 } = storedDigest(entry)
    if (!seen.has(sha256)) yield Buffer.from(`${sha256}  ${contentFile('', entry)}\n`)
    seen.add(sha256)
  }
}

/** Encrypts what was verified in the clear into a set's folder. Gives the set's files. */
export async function encryptFiles(encryptor: Encryptor, plaintext: string, folder: string, withObjects: boolean) {
  const files: Record<string, FileOfSet> = {}
  for (const name of [DUMP, ROLES, ...(withObjects ? [INDEX] : [])])
    files[encryptedName(name)] = await encryptFile(encryptor, join(plaintext, name), join(folder, encryptedName(name)))
  if (withObjects)
    files[LIST] = await writeStream(
      listOf({ folder, index: join(plaintext, INDEX) }),
      join(folder, LIST),
      undefined,
      interruption,
    )
  return files
}
