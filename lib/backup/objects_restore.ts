// Brings the uploaded files of a backup set back into the stack's minio. What is there and not in the set stays.
import { listPages, shown, upload, type Listed, type Stored } from './bucket.ts'
import type { Settings } from '../config.ts'
import { Failure } from '../errors.ts'
import { checkContents, checkObjects, contentFile, readIndex, type Contents } from './objects_index.ts'
import { hashOf } from '../large_files.ts'
import { connectMinio, type Connection } from './s3.ts'
import { several } from '../several.ts'
import type { Stack } from '../stack.ts'

export interface Restored {
  /** in the set */
  count: number
  uploaded: number
  /** that were there already, the same */
  present: number
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

const listAll = async (connection: Connection) => {
  const live = new Map<string, Listed>()
  for await (const page of listPages(connection)) for (const listed of page) live.set(listed.key, listed)
  return live
}

// The etag of an object that came in parts is another one than after a restore, which sends it in one.
const isPresent = async ({ folder, key }: Contents, entry: Stored, live: Listed | undefined) =>
  live?.bytes === entry.bytes && (live.etag === entry.etag || live.etag === `"${await hashOf(contentFile(folder, entry), 'md5', key)}"`)

/** Uploads these, and looks whether the server has them then. */
const uploadAll = async (connection: Connection, { folder, key }: Contents, entries: Stored[], onProgress: (uploaded: number, of: number) => void) => {
  let done = 0
  const etags = await several(entries, async entry => {
    const etag = await upload(connection, entry, contentFile(folder, entry), key)
    onProgress((done += 1), entries.length)
    return etag
  })
  const live = await listAll(connection)
  const lost = entries.filter(({ key, bytes }, index) => live.get(key)?.etag !== etags[index] || live.get(key)?.bytes !== bytes)
  if (lost[0])
    throw new Failure(`${lost.length} of ${entries.length} files are not there as they were uploaded; the first is ${shown(lost[0].key)}`, {
      hint: 'did an app change them meanwhile? Run it again: it uploads only what differs',
    })
}

/** Puts back every file that is missing or differs. Throws a Failure before anything is touched when a content that is needed is damaged. */
export const restoreObjects = async ({ stack, settings, contents, onProgress = () => {} }: Restore): Promise<Restored> => {
  await checkObjects(contents)
  const connection = await connectMinio(stack.project, settings)
  try {
    const live = await listAll(connection)
    const missing: Stored[] = []
    let count = 0
    let both = 0
    for await (const entry of readIndex(contents)) {
      count += 1
      if (live.has(entry.key)) both += 1
      if (!(await isPresent(contents, entry, live.get(entry.key)))) missing.push(entry)
    }
    await checkContents(contents, missing, { full: true })
    if (missing.length > 0) await uploadAll(connection, contents, missing, onProgress)
    return { count, uploaded: missing.length, present: count - missing.length, extra: live.size - both }
  } finally {
    connection.close()
  }
}
