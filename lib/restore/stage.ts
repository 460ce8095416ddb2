// A dump is restored by several processes at once, and these need it as a file in the server's container: it is put into db/dumps, which is /pg-dump there.
// What is encrypted in a set lies in the clear there too, while it is needed: on the server's own disk, beside the data that it came from.
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { freeSpace } from '../backup/backup_folder.ts'
import { clearFolder, DUMPS, removeFolder, seenInside } from '../backup/dumps_folder.ts'
import type { Key } from '../backup/encryption.ts'
import { EXIT, Failure } from '../errors.ts'
import { decryptFile } from '../large_files.ts'
import { attempt, capture } from '../run.ts'
import { size } from '../say.ts'

export interface Staged {
  /** the folder that is removed in the end */
  folder: string
  path: string
  /** the same for the server */
  inside: string
}

const bytesOf = (path: string): number =>
  statSync(path).isDirectory() ? readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0) : statSync(path).size

/** Puts a dump where the server sees it: as a hard link, or as a copy when it lies on another disk; decrypted with a key. Throws a Failure (74) when it does not fit. */
export const stage = async (source: string, stamp: string, key?: Key): Promise<Staged> => {
  const folder = clearFolder('restoring', stamp)
  const staged = { folder, path: join(folder, 'dump'), inside: join(seenInside(folder), 'dump') }
  try {
    if (key) {
      checkRoom(source, 'decrypted there')
      await decryptFile(key, source, staged.path)
      return staged
    }
    const linked = await attempt(['cp', '--recursive', '--link', '--', source, staged.path])
    if (linked.code !== 0) await copy(source, staged.path)
    return staged
  } catch (error) {
    removeFolder(folder)
    throw error
  }
}

const checkRoom = (source: string, why: string) => {
  const [wanted, free] = [bytesOf(source), freeSpace(DUMPS)]
  const hint = `nothing was touched; the dump is ${why}: free some space there`
  if (free < wanted) throw new Failure(`${DUMPS} has ${size(free)} left, and the dump is ${size(wanted)}`, { exitCode: EXIT.noSpace, hint })
}

const copy = async (source: string, target: string) => {
  rmSync(target, { recursive: true, force: true })
  checkRoom(source, 'on another disk, and is copied there for the server')
  await capture(['cp', '--recursive', '--reflink=auto', '--', source, target], { what: `copying the dump to ${DUMPS}`, hint: 'nothing was touched' })
}
