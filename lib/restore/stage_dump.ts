// A dump on its way to the server that restores it. What is encrypted in a set lies in the clear in db/dumps while it
// is needed: on the server's own disk, beside the data that it came from.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { freeSpace } from '../system/disk_space.ts'
import { DUMPS, openDumpFolder } from '../postgres/dumps_folder.ts'
import type { Key } from '../crypto/age.ts'
import { type HandedIn, handIn } from '../postgres/hand_in.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { decryptFile } from '../crypto/encrypted_files.ts'
import type { Server } from '../postgres/server.ts'
import type { Disposable } from '../system/scope.ts'
import { size } from '../system/format.ts'

export interface Staged extends HandedIn, Disposable {
  /** a folder of this restore's own */
  folder: string
  path: string
}

/**
 * Puts a dump where the server sees it, decrypted with a key, until it is disposed of. Throws a Failure (74) when it
 * does not fit.
 */
export async function stageDump(server: Server, source: string, key?: Key): Promise<Staged> {
  const folder = openDumpFolder('restoring')
  try {
    const path = key ? await decrypt(key, source, join(folder.path, 'dump')) : source
    const { inside, remove } = await handIn(server, path)
    const dispose = async () => {
      await remove()
      await folder.dispose()
    }
    return { folder: folder.path, path, inside, remove, dispose }
  } catch (error) {
    await folder.dispose()
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
