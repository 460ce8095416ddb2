// The same rules of retention hold off the site.
import { createHash } from 'node:crypto'
import { EXIT, Failure } from '../../system/errors.ts'
import { LIST, type Manifest } from '../manifest.ts'
import { contentKey, listContents, listOffsite, namesIn, type OffSite, readStream, setKey } from './layout.ts'
import { removeObject } from '../../s3/bucket.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import { say } from '../../system/progress.ts'
import { retain, type Rules } from '../retention.ts'

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
export async function removeOffsiteSet(site: OffSite, name: string, files: string[]) {
  // The manifest first: without it the set counts no more.
  for (const file of files.toSorted((a, b) => Number(b === 'manifest.json') - Number(a === 'manifest.json')))
    await removeObject(site.connection, setKey(site, name, file))
}
/**
 * Removes off the site the sets that the rules do not keep, what copies that were killed left of sets that are nowhere
 * any more, and the contents that no set is made of then. `here` are the names of those on this server, after the rules
 * were applied here: what they kept here stays there too. Only after copySets, and under the data lock: nobody is
 * copying then. While a manifest there cannot be understood nothing is removed, and it is named: nobody knows which
 * contents its set is made of. Gives the names of the sets that are gone.
 */
export async function pruneOffsite(site: OffSite, rules: Rules, here: string[]) {
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
  for (const name of [...goes, ...begun]) await removeOffsiteSet(site, name, files.get(name) ?? [])
  const unused = [...(await listContents(site)).keys()].filter(sha256 => !used.has(sha256))
  await mapConcurrent(unused, sha256 => removeObject(site.connection, contentKey(site, sha256)))
  return [...goes, ...begun]
}
