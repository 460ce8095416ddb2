// Brings the uploaded files of a backup set back into the stack's minio. What is there and not in the set stays.
import { sumBytes, listAll, type Listed, shown, type Stored, uploadObject } from '../../s3/bucket.ts'
import type { Settings } from '../../system/settings.ts'
import { Failure } from '../../system/errors.ts'
import { checkContents, checkObjects, contentFile, type Contents, readIndex } from './catalog.ts'
import { hashOfContent } from '../../crypto/encrypted_files.ts'
import type { Connection } from '../../s3/client.ts'
import { connectMinio } from '../../s3/minio.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import type { Stack } from '../../docker/stack.ts'
import { say } from '../../system/progress.ts'
import type { Planned } from '../../system/scope.ts'

export interface RestoredFiles {
  /** in the set */
  count: number
  uploaded: number
  /** that were there already, the same */
  present: number
  /** that are there and not in the set; they stay */
  extra: number
}

/** What bringing the files of a set back would do. */
export interface Difference {
  /** in the set */
  count: number
  /** of the set, that are not there */
  missing: number
  /** that are there with another content: it is replaced */
  differing: number
  /** of those that would be brought back */
  bytes: number
  /** that are there and not in the set; they stay */
  extra: number
}

interface Restore {
  stack: Pick<Stack, 'project'>
  settings: Settings
  /** of the set */
  contents: Contents
  /** called after each upload */
  onProgress?: (uploaded: number, of: number) => void
}

// The etag of an object that came in parts is another one than after a restore, which sends it in one.
const isPresent = async ({ folder, key }: Contents, entry: Stored, live: Listed | undefined) =>
  live?.bytes === entry.bytes &&
  (live.etag === entry.etag || live.etag === `"${await hashOfContent(contentFile(folder, entry), 'md5', key)}"`)

/** Uploads these, and looks whether the server has them then. */
const uploadAll = async (
  connection: Connection,
  { folder, key }: Contents,
  entries: Stored[],
  onProgress: (uploaded: number, of: number) => void,
) => {
  let done = 0
  let sent = 0
  const progress = say.transfer(() => sent, sumBytes(entries))
  try {
    const etags = await mapConcurrent(entries, async entry => {
      const etag = await uploadObject(connection, entry, contentFile(folder, entry), key)
      sent += entry.bytes
      onProgress((done += 1), entries.length)
      return etag
    })
    const live = await listAll(connection)
    const lost = entries.filter(
      ({ key, bytes }, index) => live.get(key)?.etag !== etags[index] || live.get(key)?.bytes !== bytes,
    )
    if (lost[0])
      throw new Failure(
        `${lost.length} of ${entries.length} files are not there as they were uploaded; the first is ` +
          shown(lost[0].key),
        {
          hint: 'did an app change them meanwhile? What is right is not uploaded again',
        },
      )
  } finally {
    progress.end()
  }
}

/**
 * Compares the files of a set with those that are there, and plans to put back every file that is missing or differs.
 * Throws a Failure (65) when a content that is needed is damaged.
 */
export async function openObjects({
  stack,
  settings,
  contents,
  onProgress = () => {},
}: Restore): Promise<Planned<Difference, RestoredFiles>> {
  await checkObjects(contents)
  const connection = await connectMinio(stack.project, settings)
  try {
    const live = await listAll(connection)
    const wanted: Stored[] = []
    let count = 0
    let both = 0
    for await (const entry of readIndex(contents)) {
      count += 1
      if (live.has(entry.key)) both += 1
      if (!(await isPresent(contents, entry, live.get(entry.key)))) wanted.push(entry)
    }
    await checkContents(contents, wanted, { full: true })
    const missing = wanted.filter(({ key }) => !live.has(key)).length
    const extra = live.size - both
    const execute = async () => {
      if (wanted.length > 0) await uploadAll(connection, contents, wanted, onProgress)
      return { count, uploaded: wanted.length, present: count - wanted.length, extra }
    }
    const plan = { count, missing, differing: wanted.length - missing, bytes: sumBytes(wanted), extra }
    return { plan, execute, dispose: connection.dispose }
  } catch (error) {
    connection.dispose()
    throw error
  }
}
