// Whether a set is what it was when it was made, as far as that can be told without a key.
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { mapConcurrent } from '../system/concurrency.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { plainSize } from '../system/files.ts'
import { digest } from '../system/large_files.ts'
import { checkInterruption } from '../system/signals.ts'
import { LIST } from './manifest.ts'
import { checkObjects, plaintextContents } from './objects/catalog.ts'
import { namesIn } from './offsite/layout.ts'
import type { BackupSet } from './sets.ts'

const checkFile = async ({ name, folder }: BackupSet, file: string, sha256: string) => {
  checkInterruption()
  const path = join(folder, file)
  if (plainSize(path) !== undefined && (await digest(path)).sha256 === sha256) return
  throw new Failure(`${file} of the set ${name} is not what it was when it was saved`, {
    exitCode: EXIT.data,
    hint: 'take another set (scripts/backup.ts --list)',
  })
}

/**
 * Reads all of a set. Throws a Failure (65) when something of it is missing, or is not what it was when it was saved.
 */
export async function checkSet(set: BackupSet) {
  for (const [file, { sha256 }] of Object.entries(set.files)) await checkFile(set, file, sha256)
  if (!set.objects) return
  if (!set.recipients) {
    await checkObjects(plaintextContents(set.folder), { full: true })
    return
  }
  const names = new Set<string>()
  for await (const sha256 of namesIn(createReadStream(join(set.folder, LIST), 'utf8'))) names.add(sha256)
  await mapConcurrent([...names], sha256 => checkFile(set, join('objects', sha256.slice(0, 2), sha256), sha256))
}
