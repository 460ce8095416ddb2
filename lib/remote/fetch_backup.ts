// A backup set made on a server, and its database brought here.
import { takeDataLock } from '../system/work_lock.ts'
import { cutDownload, downloadSet } from './download_set.ts'
import { readKey } from '../crypto/age.ts'
import { EXIT, Failure } from '../system/errors.ts'
import type { Host } from './host.ts'
import { keyTo } from '../backup/decrypt_set.ts'
import { askThere, reach } from './run_there.ts'
import { say } from '../system/progress.ts'
import { readManifest } from '../backup/manifest.ts'
import { readJson } from '../system/schema.ts'
import * as v from 'valibot'

const noAnswer = ({ name }: Host) =>
  new Failure(`the answer of ${name} is not a backup set`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched here; are the scripts there of the same version, and is it the right host?',
  })

const namesThere = async (host: Host) => {
  const answer = await askThere(host, 'backup', ['--list', '--json'])
  const { value } = readJson(v.array(v.object({ name: v.string() })), answer)
  if (value) return value.map(({ name }) => name)
  throw noAnswer(host)
}

const makeThere = async (host: Host, words: string[]) => {
  const { value } = readManifest(await askThere(host, 'backup', words))
  if (value) return value
  throw noAnswer(host)
}

// Only while the server still has it.
const unfinished = async (host: Host) => {
  const set = cutDownload(host)
  if (!set) return undefined
  if (!(await namesThere(host)).includes(set.name)) return undefined
  say.step(`the download of ${set.name} was cut: it goes on, and no new set is made`)
  return set
}

/**
 * Makes a set on a host (without a name DEPLOY_HOST), or goes on with the download of the last, and publishes its
 * database in db/dumps as the given name, or latest. Throws a Failure: 64 when the set is encrypted and no key file is
 * named, 69 when the host cannot be reached, 65 when not what was sent arrived, or the server's answer is no set, 74
 * when it does not fit, 75 when something else works on the data here.
 */
export async function fetchBackup(
  on: string | undefined,
  name: string | undefined,
  withFiles: boolean,
  keyFile: string | undefined,
) {
  if (keyFile !== undefined) await readKey(keyFile)
  const host = await reach(on)
  if (host.noise !== undefined)
    throw new Failure(
      `the login shell on ${host.name} writes lines of its own (${JSON.stringify(host.noise.slice(0, 80))}): they ` +
        'would be taken for data',
      {
        exitCode: EXIT.unreachable,
        hint: 'nothing was begun; in its .bashrc have them written only where the shell is interactive',
      },
    )
  const work = await takeDataLock('downloading', false)
  try {
    work.step('make', `a backup set on ${host.name}`)
    const words = [...(withFiles ? [] : ['--no-files']), '--wait', '--json', ...(name === undefined ? [] : [name])]
    const set = (await unfinished(host)) ?? (await makeThere(host, words))
    const key = await keyTo(set, keyFile)
    work.step('download', set.name)
    return { set, dump: await downloadSet(host, set, name ?? 'latest', key) }
  } finally {
    await work.dispose()
  }
}
