// The server's side of a download: a file of a set, on standard output.
import { join } from 'node:path'
import { audit } from '../system/audit.ts'
import { usage } from '../system/errors.ts'
import { listSets } from './sets.ts'
import { interactive } from '../system/interactive.ts'

/**
 * Writes a file of a set to standard output, from a byte on, and notes who took it. Gives an exit code. Throws a
 * Failure (64) for what is not there.
 */
export function serveFile(folder: string, setName: string, file: string, from: number) {
  const set = listSets(folder).sets.find(({ name }) => name === setName)
  if (!set) throw usage(`there is no set ${setName} in ${folder}`, 'scripts/backup.ts --list shows the sets')
  if (!Object.hasOwn(set.files, file))
    throw usage(`${setName} has no file ${JSON.stringify(file)}`, `it has: ${Object.keys(set.files).join(', ')}`)
  audit('download', { set: setName, file, offset: from })
  return interactive(['tail', `--bytes=+${from + 1}`, '--', join(set.folder, file)])
}
