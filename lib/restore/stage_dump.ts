// A dump on its way to the server that restores it. What is encrypted in a set lies in the clear in db/dumps while it
// is needed: on the server's own disk, beside the data that it came from.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { freeSpace } from '../system/disk_space.ts'
import { clearFolder, DUMPS, removeFolder } from '../postgres/dumps_folder.ts'
import type { Key } from '../crypto/age.ts'
import { type HandedIn, handIn } from '../postgres/hand_in.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { decryptFile } from '../crypto/encrypted_files.ts'
import type { Server } from '../postgres/server.ts'
import { size } from '../system/format.ts'

export interface Staged extends HandedIn {
  /** a folder of this restore's own, which is removed in the end */
  folder: string
  path: string
}

/** Puts a dump where the server sees it; decrypted with a key. Throws a Failure (74) when it does not fit. */
export const stage = async (server: Server, source: string, key?: Key): Promise<Staged> => {
  const folder = clearFolder('restoring')
  try {
    const path = key ? await decrypt(key, source, join(folder, 'dump')) : source
    const { inside, remove } = await handIn(server, path)
    return { folder, path, inside, remove }
  } catch (error) {
    removeFolder(folder)
    throw error
  }
}

const decrypt = async (key: Key, source: string, target: string) => {
  const [wanted, free] = [statSync(source).size, freeSpace(DUMPS)]
  const hint = 'nothing was touched; the dump is decrypted there: free some space there'
  if (free < wanted)
    throw new Failure(`${DUMPS} has ${size(free)} left, and the dump is ${size(wanted)}`, {
      exitCode: EXIT.noSpace,
      hint,
    })
  await decryptFile(key, source, target)
  return target
}
