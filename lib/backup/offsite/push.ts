// Copies the sets that are not off the site yet, and removes there what the rules do not keep any more.
import { createReadStream, statSync } from 'node:fs'
import { join } from 'node:path'
import { digest } from '../../system/large_files.ts'
import { contentKey, listContents, listOffsite, namesIn, type OffSite, setKey } from './layout.ts'
import { lockAgain } from './protection.ts'
import { abortUnfinished, store, type StoreOptions } from './upload.ts'
import { say } from '../../system/progress.ts'
import { size } from '../../system/format.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import type { BackupSet } from '../sets.ts'
import { LIST } from '../manifest.ts'
import { checkInterruption } from '../../system/signals.ts'

const contentIn = (folder: string, sha256: string) => join(folder, 'objects', sha256.slice(0, 2), sha256)

// A content that is there with its size is there whole: the server took it with its md5, all or nothing.
const copyContents = async (
  site: OffSite,
  { folder }: BackupSet,
  there: Map<string, number>,
  options: StoreOptions,
) => {
  const missing: string[] = []
  const present: string[] = []
  for await (const sha256 of namesIn(createReadStream(join(folder, LIST), 'utf8'))) {
    const isThere = there.get(sha256) === statSync(contentIn(folder, sha256)).size
    ;(isThere ? present : missing).push(sha256)
  }
  const locked = present.map(sha256 => contentKey(site, sha256))
  await lockAgain(site, locked)
  await mapConcurrent(missing, async sha256 => {
    checkInterruption()
    await store(site, contentKey(site, sha256), contentIn(folder, sha256), sha256, options)
    there.set(sha256, statSync(contentIn(folder, sha256)).size)
  })
  return missing.length
}

const copySet = async (site: OffSite, set: BackupSet, there: Map<string, number>, options: StoreOptions) => {
  const contents = set.files[LIST] ? await copyContents(site, set, there, options) : 0
  for (const [file, { sha256 }] of Object.entries(set.files))
    await store(site, setKey(site, set.name, file), join(set.folder, file), sha256, options)
  // The last one: with it the set counts.
  const manifest = join(set.folder, 'manifest.json')
  await store(site, setKey(site, set.name, 'manifest.json'), manifest, (await digest(manifest)).sha256, options)
  say.detail(
    `${set.name} is off the site: ${size(Object.values(set.files).reduce((sum, { bytes }) => sum + bytes, 0))}, ` +
      `and ${contents} new files`,
  )
}

/**
 * Copies each encrypted set that is not there yet, the newest first. Gives the names of all that are there then. Throws
 * a Failure when one of them cannot be copied.
 */
export async function copySets(site: OffSite, sets: BackupSet[]) {
  await abortUnfinished(site)
  const there = new Set((await listOffsite(site)).sets.map(({ name }) => name))
  const missing = sets.filter(({ name, recipients }) => recipients && !there.has(name))
  const plaintext = sets.filter(({ recipients }) => !recipients)
  if (plaintext.length > 0) say.detail(`${plaintext.length} older sets are not encrypted, and stay on this server`)
  const contents = missing.some(({ objects }) => objects) ? await listContents(site) : new Map<string, number>()
  let sent = 0
  const progress = say.transfer(() => sent, undefined)
  try {
    for (const set of missing) {
      await copySet(site, set, contents, { onSent: bytes => (sent += bytes) })
      there.add(set.name)
    }
  } finally {
    progress.end()
  }
  return [...there]
}
