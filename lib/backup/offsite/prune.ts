// The same rules of retention hold off the site.
import { createHash } from 'node:crypto'
import { EXIT, Failure } from '../../system/errors.ts'
import { LIST, type Manifest, NAME } from '../manifest.ts'
import { contentKey, listContents, listOffsite, namesIn, type OffSite, readStream, setKey } from './layout.ts'
import { removeForGood } from './removal.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import { say } from '../../system/progress.ts'
import { retain, type Rules } from '../retention.ts'

const DAY = 86_400_000

/** When a set was begun, by its name. */
const madeOf = (name: string) =>
  Date.parse((NAME.exec(name)?.groups?.stamp ?? '').replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))

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

/**
 * Removes a set. Gives false when it is locked still: then it stays whole, for a later night; so does what a copy that
 * was killed has left.
 */
export async function removeOffsiteSet(site: OffSite, name: string, files: string[]) {
  let isGone = true
  // The manifest first: without it the set counts no more.
  for (const file of files.toSorted((a, b) => Number(b === 'manifest.json') - Number(a === 'manifest.json'))) {
    if (await removeForGood(site, setKey(site, name, file))) continue
    if (file === 'manifest.json') return false
    isGone = false
  }
  return isGone || files.includes('manifest.json')
}

/**
 * Removes off the site the sets that the rules do not keep, what copies that were killed left of sets that are nowhere
 * any more and would be as old, and the contents that no set is made of then. `here` are the names of those on this
 * server, after the rules were applied here: what they kept here stays there too. Only after copySets, and under the
 * data lock: nobody is copying then. While a manifest there cannot be understood nothing is removed, and it is named:
 * nobody knows which contents its set is made of. Gives the names of the sets that are gone.
 */
export async function pruneOffsite(site: OffSite, rules: Rules, here: string[]) {
  const { sets, unknown, files } = await listOffsite(site)
  if (unknown.length > 0) {
    say.warn(
      `off the site nothing is removed while the manifest of ${unknown.join(', ')} there cannot be understood: ` +
        'look at it, and remove it by hand if nobody needs it',
    )
    return []
  }
  const goes = retain(sets, rules, new Date())
    .filter(({ name, keep }) => !keep && !here.includes(name))
    .map(({ name }) => name)
  const now = Date.now()
  const left = [...files.keys()].filter(name => !files.get(name)?.includes('manifest.json') && !here.includes(name))
  // A young one may have lost its manifest to somebody who meant harm, and a server that has just been recovered knows
  // none of them: it stays whole until the rules would let go of it.
  const begun = left.filter(name => now - madeOf(name) >= Math.min(rules.days, rules.maxDays ?? Infinity) * DAY)
  if (goes.length + begun.length === 0) return []
  const used = await usedBy(
    site,
    sets.filter(({ name }) => !goes.includes(name)),
  )
  for (const name of left.filter(it => !begun.includes(it)))
    if (files.get(name)?.includes(LIST))
      for await (const sha256 of namesIn((await readStream(site, setKey(site, name, LIST))).setEncoding('utf8')))
        used.add(sha256)
  const gone: string[] = []
  for (const name of [...goes, ...begun]) if (await removeOffsiteSet(site, name, files.get(name) ?? [])) gone.push(name)
  // What a set that stays is made of stays too.
  const locked = sets.filter(({ name }) => goes.includes(name) && !gone.includes(name))
  for (const sha256 of await usedBy(site, locked)) used.add(sha256)
  const unused = [...(await listContents(site)).keys()].filter(sha256 => !used.has(sha256))
  await mapConcurrent(unused, sha256 => removeForGood(site, contentKey(site, sha256)))
  return gone
}
