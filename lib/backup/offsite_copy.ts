// Copies the sets that are not off the site yet, and removes there what the rules do not keep any more.
import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure } from '../errors.ts'
import { digest } from '../large_files.ts'
import { linesIn } from './objects_index.ts'
import { contentKey, listContents, listOffsite, readStream, setKey, type OffSite } from './offsite.ts'
import { abortUnfinished, remove, store, type StoreOptions } from './offsite_store.ts'
import { retain, type Rules } from './retention.ts'
import { say, size, transfer } from '../say.ts'
import { several } from '../several.ts'
import { LIST, type BackupSet, type Manifest } from './sets.ts'
import { checkInterruption } from '../signals.ts'

/** The sha256 of each content in a list of an encrypted set. Throws a Failure (65) for a line that is none. */
export const namesIn = async function* (chunks: AsyncIterable<string>) {
  for await (const line of linesIn(chunks)) {
    const sha256 = /^([0-9a-f]{64}) {2}objects\//.exec(line)?.[1]
    if (sha256 === undefined)
      throw new Failure(`${LIST} of a set has a line that is none of a content`, { exitCode: EXIT.data })
    yield sha256
  }
}

const contentIn = (folder: string, sha256: string) => join(folder, 'objects', sha256.slice(0, 2), sha256)

// A content that is there with its size is there whole: the server took it with its md5, all or nothing.
const copyContents = async (
  site: OffSite,
  { folder }: BackupSet,
  there: Map<string, number>,
  options: StoreOptions,
) => {
  const missing: string[] = []
  for await (const sha256 of namesIn(createReadStream(join(folder, LIST), 'utf8')))
    if (there.get(sha256) !== statSync(contentIn(folder, sha256)).size) missing.push(sha256)
  await several(missing, async sha256 => {
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
    `${set.name} is off the site: ${size(Object.values(set.files).reduce((sum, { bytes }) => sum + bytes, 0))}, and ${contents} new files`,
  )
}

/**
 * Copies each encrypted set that is not there yet, the newest first. Gives the names of all that are there then. Throws
 * a Failure when one of them cannot be copied.
 */
export const copySets = async (site: OffSite, sets: BackupSet[]) => {
  await abortUnfinished(site)
  const there = new Set((await listOffsite(site)).sets.map(({ name }) => name))
  const missing = sets.filter(({ name, recipients }) => recipients && !there.has(name))
  const clear = sets.filter(({ recipients }) => !recipients)
  if (clear.length > 0) say.detail(`${clear.length} older sets are not encrypted, and stay on this server`)
  const contents = missing.some(({ objects }) => objects) ? await listContents(site) : new Map<string, number>()
  let sent = 0
  const progress = transfer(() => sent, undefined)
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

/**
 * The contents that the sets are made of. Throws a Failure (65) when one of their lists is not what its manifest says:
 * then nobody knows which are unused.
 */
const usedBy = async (site: OffSite, sets: Manifest[]) => {
  const used = new Set<string>()
  for (const { name, files, objects } of sets) {
    if (!objects) continue
    const stream = (await readStream(site, setKey(site, name, LIST))).setEncoding('utf8')
    const hash = createHash('sha256')
    const hashed = async function* () {
      for await (const chunk of stream as AsyncIterable<string>) {
        hash.update(chunk)
        yield chunk
      }
    }
    for await (const sha256 of namesIn(hashed())) used.add(sha256)
    if (hash.digest('hex') !== files[LIST]?.sha256)
      throw new Failure(`${LIST} of ${name} off the site is not whole`, {
        exitCode: EXIT.data,
        hint: 'no file was removed there',
      })
  }
  return used
}

const removeSet = async (site: OffSite, name: string, files: string[]) => {
  // The manifest first: without it the set counts no more.
  for (const file of files.toSorted((a, b) => Number(b === 'manifest.json') - Number(a === 'manifest.json')))
    await remove(site, setKey(site, name, file))
}

/**
 * Removes off the site the sets that the rules do not keep, what copies that were killed left of sets that are nowhere
 * any more, and the contents that no set is made of then. `here` are the names of those on this server, after the rules
 * were applied here: what they kept here stays there too. Only after copySets, and under the data lock: nobody is
 * copying then. While a manifest there cannot be understood nothing is removed, and it is named: nobody knows which
 * contents its set is made of. Gives the names of the sets that are gone.
 */
export const pruneOffsite = async (site: OffSite, rules: Rules, here: string[]) => {
  const { sets, unknown, files } = await listOffsite(site)
  if (unknown.length > 0) {
    say.warn(
      `off the site nothing is removed while the manifest of ${unknown.join(', ')} there cannot be understood: look at it, and remove it by hand if nobody needs it`,
    )
    return []
  }
  const goes = retain(sets, rules, new Date())
    .filter(({ name, keep }) => !keep && !here.includes(name))
    .map(({ name }) => name)
  const begun = [...files.keys()].filter(name => !files.get(name)?.includes('manifest.json') && !here.includes(name))
  if (goes.length + begun.length === 0) return []
  const used = await usedBy(
    site,
    sets.filter(({ name }) => !goes.includes(name)),
  )
  for (const name of [...goes, ...begun]) await removeSet(site, name, files.get(name) ?? [])
  const unused = [...(await listContents(site)).keys()].filter(sha256 => !used.has(sha256))
  await several(unused, sha256 => remove(site, contentKey(site, sha256)))
  return [...goes, ...begun]
}
