// Ships the base backups that BACKUP_DIR does not have yet, as they lie in the service wal.
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Encryptor, isSameRecipients, recipientsOf } from '../crypto/age.ts'
import { writeStream } from '../crypto/encrypted_files.ts'
import type { Server } from '../postgres/server.ts'
import { asDiskFull, freeSpace, noSpace } from '../system/disk_space.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { namesInFolder, replaceFile, sync } from '../system/files.ts'
import { size } from '../system/format.ts'
import type { Digest } from '../system/large_files.ts'
import { say } from '../system/progress.ts'
import { outputOf } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { interruption } from '../system/signals.ts'
import type { Base } from './bases.ts'
import { baseScript } from './receiver.ts'
import { openFolderOf, readShippedBases, type ShippedBase } from './shipped.ts'

/** In the service wal → as it is named when it is shipped. */
const FILES = { 'base.tar.zst': 'tar.zst', backup_manifest: 'manifest' } as const

const copyFile = async (
  receiver: Server,
  base: Base,
  file: string,
  target: string,
  encryptor: Encryptor | undefined,
) => {
  const partial = `${target}.partial`
  rmSync(partial, { force: true })
  const command = baseScript(receiver, 'read', base.name, file)
  try {
    const written = await writeStream(
      outputOf(command, { what: `reading ${file} of ${base.name}` }),
      partial,
      encryptor,
      interruption,
    )
    if (file === 'base.tar.zst' && written.bytes !== base.bytes)
      throw new Failure(`${file} of ${base.name} has ${written.bytes} bytes instead of ${base.bytes}`, {
        exitCode: EXIT.data,
        hint: 'look at the disk (dmesg); the next base backup is made anew',
      })
    renameSync(partial, target)
    return written.encrypted ?? { bytes: written.bytes, sha256: written.sha256 }
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}

const shipBase = async ({ BACKUP_DIR }: Settings, receiver: Server, encryptor: Encryptor | undefined, base: Base) => {
  const folder = openFolderOf(BACKUP_DIR, base.chain, 'base')
  for (const name of namesInFolder(folder).filter(it => it.endsWith('.partial'))) rmSync(join(folder, name))
  if (freeSpace(folder) < base.bytes * 1.5)
    throw noSpace(`${folder} has ${size(freeSpace(folder))} left, and the base backup is ${size(base.bytes)}`)
  const files: Record<string, Digest> = {}
  for (const [file, ending] of Object.entries(FILES)) {
    const name = `${base.name}.${ending}${encryptor ? '.age' : ''}`
    files[name] = await copyFile(receiver, base, file, join(folder, name), encryptor)
  }
  const shipped: ShippedBase = { ...base, files, ...(encryptor ? { recipients: encryptor.recipients } : {}) }
  // The last one: with it the base counts.
  replaceFile(join(folder, `${base.name}.json`), `${JSON.stringify(shipped, null, 2)}\n`, 0o600)
  sync(folder)
}

/** Whether a chain is encrypted to others than are wanted by now: who gets a key must be able to read all of it. */
export function hasOtherRecipients(settings: Settings, chain: string) {
  const [full] = readShippedBases(settings.BACKUP_DIR, chain).bases
  const wanted = recipientsOf(settings)
  return full !== undefined && !isSameRecipients(full.recipients, wanted.length === 0 ? undefined : wanted)
}

/**
 * Ships those of these bases that BACKUP_DIR lacks. Only under the data lock. Gives their names. Throws a Failure: 73
 * and 74 for BACKUP_DIR and its space.
 */
export async function shipBases(settings: Settings, receiver: Server, encryptor: Encryptor | undefined, bases: Base[]) {
  const { BACKUP_DIR } = settings
  const isThere = ({ chain, name }: Base) => readShippedBases(BACKUP_DIR, chain).bases.some(it => it.name === name)
  const missing = bases.filter(base => !isThere(base))
  try {
    for (const base of missing) {
      await shipBase(settings, receiver, encryptor, base)
      say.detail(`${base.name} is in ${BACKUP_DIR}`)
    }
  } catch (error) {
    throw asDiskFull(error, BACKUP_DIR)
  }
  return missing.map(({ name }) => name)
}
