// Saves the uploaded files into a backup set. What the former set has is linked, not fetched; a content that has its name is never written to.
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { open, readdir, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { download, listPages, shown, type Listed, type Stored } from './bucket.ts'
import type { Settings } from './config.ts'
import { Failure, messageOf } from './errors.ts'
import { sync } from './files.ts'
import { contentFile, indexFile, readIndex } from './objects_index.ts'
import { connectMinio, type Connection } from './s3.ts'
import { say } from './say.ts'
import { several } from './several.ts'
import type { Stack } from './stack.ts'

export interface Saved {
  count: number
  bytes: number
  /** how many of them came over the network */
  fetched: number
  /** how many were there already, in the former set */
  linked: number
}

interface Save {
  stack: Pick<Stack, 'project'>
  settings: Settings
  /** of the new set */
  folder: string
  /** that of a verified set before it */
  former: string | undefined
  /** called after each file */
  onProgress?: (so: Saved) => void
}

/** Gives a content of the former set to this one; false when it cannot (it is not there whole, or on another disk). */
const link = (former: string | undefined, folder: string, { sha256, bytes }: Stored) => {
  if (former === undefined) return false
  const from = contentFile(former, sha256)
  const to = contentFile(folder, sha256)
  if (existsSync(to)) return true
  if (statSync(from, { throwIfNoEntry: false })?.size !== bytes) return false
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
  try {
    linkSync(from, to)
    return true
  } catch {
    return false
  }
}

/** Fetches an object; undefined when it was deleted since the listing. One that was changed since is taken as it is now. */
const fetchNew = async (connection: Connection, { folder, former }: Save, listed: Listed, number: number): Promise<Stored | undefined> => {
  const partial = join(folder, 'objects', `${number}.partial`)
  try {
    const got = await download(connection, listed.key, partial)
    if (!got) {
      say.detail(`deleted meanwhile, so it is not in the set: ${shown(listed.key)}`)
      return
    }
    const unchanged = got.etag === listed.etag
    if (unchanged && got.bytes !== listed.bytes)
      throw new Failure(`fetching ${shown(listed.key)} failed: ${got.bytes} bytes came, and ${listed.bytes} were listed`, { hint: 'run it again' })
    // An answer tells whole seconds, a listing more.
    const entry = unchanged ? { ...got, modified: listed.modified } : got
    if (link(former, folder, entry)) return entry
    const file = contentFile(folder, entry.sha256)
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    renameSync(partial, file)
    return entry
  } finally {
    rmSync(partial, { force: true })
  }
}

const isSame = (a: Listed, b: Listed) => a.key === b.key && a.etag === b.etag && a.bytes === b.bytes && a.modified === b.modified

// One that cannot be read only means that more is fetched.
const readFormer = async function* (former: string | undefined) {
  if (former === undefined || !existsSync(indexFile(former))) return
  try {
    yield* readIndex(former)
  } catch (error) {
    say.warn(`${messageOf(error)}; the files are fetched anew`)
  }
}

/** Pairs what is listed with what the former set has under the same key. Both are in the order of the keys' bytes, so neither has to be in memory as a whole. */
const pairing = (former: string | undefined) => {
  const entries = readFormer(former)
  let current: IteratorResult<Stored, void> | undefined
  const isBehind = (key: string) => !current || (!current.done && Buffer.compare(Buffer.from(current.value.key), Buffer.from(key)) < 0)
  const pair = async (listed: Listed) => {
    while (isBehind(listed.key)) current = await entries.next()
    const old = current?.value ?? undefined
    return { listed, old: old && isSame(old, listed) ? old : undefined }
  }
  return async (page: Listed[]) => {
    const pairs = []
    for (const listed of page) pairs.push(await pair(listed))
    return pairs
  }
}

const syncFolders = async (folder: string) => {
  const objects = join(folder, 'objects')
  const folders = (await readdir(objects)).map(name => join(objects, name))
  for (const path of [...folders, objects, folder]) sync(path)
}

const saveAll = async (connection: Connection, save: Save, index: FileHandle) => {
  const { folder, former, onProgress = () => {} } = save
  const pair = pairing(former)
  const saved: Saved = { count: 0, bytes: 0, fetched: 0, linked: 0 }
  let number = 0
  const saveOne = async ({ listed, old }: { listed: Listed; old: Stored | undefined }) => {
    const linked = old !== undefined && link(former, folder, old)
    const entry = linked ? old : await fetchNew(connection, save, listed, (number += 1))
    if (!entry) return ''
    saved.count += 1
    saved.bytes += entry.bytes
    saved[linked ? 'linked' : 'fetched'] += 1
    onProgress({ ...saved })
    return `${JSON.stringify(entry)}\n`
  }
  for await (const page of listPages(connection)) await index.appendFile((await several(await pair(page), saveOne)).join(''))
  await index.sync()
  return saved
}

/** Saves all uploaded files into a set's folder. A Failure leaves a part of them there: such a folder is no set. */
export const saveObjects = async (save: Save): Promise<Saved> => {
  const { stack, settings, folder } = save
  const connection = await connectMinio(stack.project, settings)
  mkdirSync(join(folder, 'objects'), { recursive: true, mode: 0o700 })
  const index = await open(indexFile(folder), 'wx', 0o600)
  try {
    const saved = await saveAll(connection, save, index)
    await syncFolders(folder)
    return saved
  } finally {
    await index.close()
    connection.close()
  }
}
