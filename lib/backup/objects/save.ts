// Saves the uploaded files into a backup set. What the previous set has is linked (without hard links: copied), not
// fetched; a content that has its name is never written to.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { open, readdir, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { downloadObject, listPages, shown, type Stored } from '../../s3/bucket.ts'
import type { Settings } from '../../system/settings.ts'
import type { Encryptor } from '../../crypto/age.ts'
import { Failure } from '../../system/errors.ts'
import { linkOrCopy, plainSize, sync } from '../../system/files.ts'
import { type FilePair, isSame, pairing } from './previous.ts'
import { contentFile, type Contents, storedDigest } from './catalog.ts'
import type { Connection } from '../../s3/client.ts'
import { connectMinio } from '../../s3/minio.ts'
import { say } from '../../system/progress.ts'
import type { Written } from '../../crypto/encrypted_files.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import type { Stack } from '../../docker/stack.ts'

interface Saved {
  count: number
  bytes: number
  /** how many of them came over the network */
  fetched: number
  /** how many were there already, in the previous set */
  linked: number
}

interface Save {
  stack: Pick<Stack, 'project'>
  settings: Settings
  /** of the new set, with a new index */
  contents: Contents
  /** those of a verified set before it, encrypted to the same recipients as this one, or to none */
  previous: Contents | undefined
  /** encrypts the contents */
  encryptor?: Encryptor | undefined
  /** called after each file */
  onProgress?: (so: Saved) => void
}

/** Gives a content of the previous set to this one; false when that has it not, or not whole. */
const link = async ({ contents, previous }: Save, content: Written) => {
  if (previous === undefined) return false
  const from = contentFile(previous.folder, content)
  const to = contentFile(contents.folder, content)
  if (existsSync(to)) return true
  if (plainSize(from) !== storedDigest(content).bytes) return false
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
  await linkOrCopy(from, to)
  return true
}

// The same content encrypted twice gives two files: under the same key, the one of the previous set is looked at.
const inPrevious = (got: Stored, old: Stored | undefined): Stored =>
  old?.encrypted && old.sha256 === got.sha256 ? { ...got, encrypted: old.encrypted } : got

/**
 * Fetches an object; undefined when it was deleted since the listing. One that was changed since is taken as it is now.
 */
const fetchNew = async (
  connection: Connection,
  save: Save,
  { listed, old }: FilePair,
  number: number,
): Promise<Stored | undefined> => {
  const { folder } = save.contents
  const partial = join(folder, 'objects', `${number}.partial`)
  try {
    const got = await downloadObject(connection, listed.key, partial, { encryptor: save.encryptor })
    if (!got) {
      say.detail(`deleted meanwhile, so it is not in the set: ${shown(listed.key)}`)
      return
    }
    const unchanged = got.etag === listed.etag
    if (unchanged && got.bytes !== listed.bytes)
      throw new Failure(
        `fetching ${shown(listed.key)} failed: ${got.bytes} bytes came, and ${listed.bytes} were listed`,
        { hint: 'run it again' },
      )
    // An answer tells whole seconds, a listing more.
    const entry = unchanged ? { ...got, modified: listed.modified } : got
    const known = inPrevious(entry, old)
    if (await link(save, known)) return known
    const file = contentFile(folder, entry)
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    renameSync(partial, file)
    return entry
  } finally {
    rmSync(partial, { force: true })
  }
}

const syncFolders = async (folder: string) => {
  const objects = join(folder, 'objects')
  const folders = (await readdir(objects)).map(name => join(objects, name))
  for (const path of [...folders, objects, folder]) sync(path)
}

const saveAll = async (connection: Connection, save: Save, index: FileHandle) => {
  const { onProgress = () => {} } = save
  const pair = pairing(save.previous)
  const saved: Saved = { count: 0, bytes: 0, fetched: 0, linked: 0 }
  let number = 0
  const saveOne = async (it: FilePair) => {
    const unchanged = it.old && isSame(it.old, it.listed) ? it.old : undefined
    const linked = unchanged !== undefined && (await link(save, unchanged))
    const entry = linked ? unchanged : await fetchNew(connection, save, it, (number += 1))
    if (!entry) return ''
    saved.count += 1
    saved.bytes += entry.bytes
    saved[linked ? 'linked' : 'fetched'] += 1
    onProgress({ ...saved })
    return `${JSON.stringify(entry)}\n`
  }
  for await (const page of listPages(connection))
    await index.appendFile((await mapConcurrent(await pair(page), saveOne)).join(''))
  await index.sync()
  return saved
}

/**
 * Saves all uploaded files into a set's folder, and their index where `contents` says. A Failure leaves a part of them
 * there: such a folder is no set.
 */
export async function saveObjects(save: Save): Promise<Saved> {
  const { stack, settings, contents } = save
  const { folder } = contents
  const connection = await connectMinio(stack.project, settings)
  mkdirSync(join(folder, 'objects'), { recursive: true, mode: 0o700 })
  const index = await open(contents.index, 'wx', 0o600)
  try {
    const saved = await saveAll(connection, save, index)
    await syncFolders(folder)
    return saved
  } finally {
    await index.close()
    connection.dispose()
  }
}
