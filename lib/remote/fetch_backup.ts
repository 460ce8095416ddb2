// A backup set made on a server, and its database brought here.
import { EXIT, Failure } from '../errors.ts'
import { takeDataLock } from '../backup/data_lock.ts'
import { cutDownload, download } from './download.ts'
import { readKey } from '../backup/encryption.ts'
import type { Host } from './host.ts'
import { keyTo } from '../backup/in_the_clear.ts'
import { askThere, reach } from './remote.ts'
import { say } from '../say.ts'
import type { BackupSet } from '../backup/sets.ts'

// Only while the server still has it.
const unfinished = async (host: Host) => {
  const set = cutDownload(host)
  if (!set) return undefined
  const sets = JSON.parse(await askThere(host, 'backup', ['--list', '--json'])) as BackupSet[]
  if (!sets.some(({ name }) => name === set.name)) return undefined
  say.step(`the download of ${set.name} was cut: it goes on, and no new set is made`)
  return set
}

/**
 * Makes a set on a host ('' for DEPLOY_HOST), or goes on with the download of the last, and publishes its database in db/dumps as the given name, or latest. Throws a
 * Failure: 64 when the set is encrypted and no key file is named, 69 when the host cannot be reached, 65 when not what was sent arrived, 74 when it does not fit, 75 when
 * something else works on the data here.
 */
export const fetchBackup = async (on: string, name: string | undefined, withFiles: boolean, keyFile: string | undefined) => {
  if (keyFile !== undefined) await readKey(keyFile)
  const host = await reach(on)
  if (host.noise !== '')
    throw new Failure(`the login shell on ${host.name} writes lines of its own (${JSON.stringify(host.noise.slice(0, 80))}): they would be taken for data`, {
      exitCode: EXIT.unreachable,
      hint: 'nothing was begun; in its .bashrc have them written only where the shell is interactive',
    })
  const work = await takeDataLock('downloading', false)
  try {
    work.step('make', `a backup set on ${host.name}`)
    const words = [...(withFiles ? [] : ['--no-files']), '--wait', '--json', ...(name === undefined ? [] : [name])]
    const set = (await unfinished(host)) ?? (JSON.parse(await askThere(host, 'backup', words)) as BackupSet)
    const key = await keyTo(set, keyFile)
    work.step('download', set.name)
    return { set, dump: await download(host, set, name ?? 'latest', key) }
  } finally {
    await work.release()
  }
}
