// The archive off the site: the same files below <prefix>/archive/, of what is encrypted. A base counts when its json
// is there, which comes last; what the names of the pieces tell needs no index.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { OffSite } from '../backup/offsite/layout.ts'
import { lockAgain } from '../backup/offsite/protection.ts'
import { removeForGood } from '../backup/offsite/removal.ts'
import type { Rules } from '../backup/retention.ts'
import { store } from '../backup/offsite/upload.ts'
import { mapConcurrent } from '../system/concurrency.ts'
import { namesInFolder } from '../system/files.ts'
import { digest } from '../system/large_files.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { startOf } from './bases.ts'
import { foreignChains, keyOf, type Offsite } from './offsite_listing.ts'
import { keptChains } from './retain_chains.ts'
import { archiveIn, chainNames, readComplete, readPieces, readShippedBases } from './shipped.ts'

const put = async (site: OffSite, there: Offsite, folder: string, path: string, sha256?: string) => {
  const file = join(folder, path)
  await store(site, keyOf(site, path), file, sha256 ?? (await digest(file)).sha256)
  there.set(path, statSync(file).size)
}

// In their order: what is there has no gap.
const copyPieces = async (site: OffSite, backups: string, chain: string, there: Offsite) => {
  const folder = archiveIn(backups)
  const isThere = (name: string) => there.has(`${chain}/wal/${name}`)
  const names = namesInFolder(join(folder, chain, 'wal'))
  if (names.every(name => !name.endsWith('.zst.age') || isThere(name))) return 0
  const missing = readPieces(join(folder, chain, 'wal')).filter(
    ({ name, bytes }) => name.endsWith('.age') && there.get(`${chain}/wal/${name}`) !== bytes,
  )
  for (const { name, sha256 } of missing) await put(site, there, folder, `${chain}/wal/${name}`, sha256)
  return missing.length
}

// What is damaged here stays away; the other chains are copied all the same, and then it is said.
const forEachChain = async (backups: string, there: Offsite, copy: (chain: string) => Promise<void>) => {
  let damage: Failure | undefined
  const foreign = foreignChains(there, backups)
  for (const chain of chainNames(backups).filter(it => !foreign.includes(it)))
    try {
      await copy(chain)
    } catch (error) {
      if (!(error instanceof Failure) || error.exitCode !== EXIT.data) throw error
      damage ??= error
    }
  if (damage) throw damage
}

const DAY = 86_400_000

// Of a chain that has ended it changes no more.
const mayHaveChanged = (file: string, isNewest: boolean) => isNewest || Date.now() - statSync(file).mtimeMs < DAY

/**
 * Copies the WAL that is in BACKUP_DIR and not off the site. `there` is what is, and is kept up to date. What is
 * written anew goes once an hour alone (`withIndex`): the names of the pieces tell the same, and where a bucket keeps
 * each version there would be 1,440 a day. Gives up to when all is off the site.
 */
export async function copyWalOffsite(site: OffSite, backups: string, there: Offsite, withIndex: boolean) {
  let at: string | undefined
  await forEachChain(backups, there, async chain => {
    const complete = readComplete(backups, chain)
    const copied = await copyPieces(site, backups, chain, there)
    const wal = join(archiveIn(backups), chain, 'wal')
    const isNewest = chain === chainNames(backups).at(-1)
    if (complete && withIndex)
      for (const name of [...(copied > 0 ? ['index.jsonl'] : []), 'complete.json'])
        if (mayHaveChanged(join(wal, name), isNewest))
          await put(site, there, archiveIn(backups), `${chain}/wal/${name}`)
    at = complete?.at ?? at
  })
  return at
}

/**
 * Copies the encrypted bases that are not off the site; those of the newest chain are locked anew, since what is
 * written today comes back by them. Only under the data lock. Gives their names.
 */
export async function copyBasesOffsite(site: OffSite, backups: string, there: Offsite) {
  const copied: string[] = []
  await forEachChain(backups, there, async chain => {
    for (const { name, files, recipients } of readShippedBases(backups, chain).bases) {
      const place = `${chain}/base`
      const paths = [...Object.keys(files), `${name}.json`].map(file => `${place}/${file}`)
      const missing = Object.entries(files).filter(([file, { bytes }]) => there.get(`${place}/${file}`) !== bytes)
      const isThere = missing.length === 0 && there.has(`${place}/${name}.json`)
      if (recipients && isThere && chain === chainNames(backups).at(-1))
        await lockAgain(
          site,
          paths.map(path => keyOf(site, path)),
        )
      if (!recipients || isThere) continue
      for (const [file, { sha256 }] of missing) await put(site, there, archiveIn(backups), `${place}/${file}`, sha256)
      await put(site, there, archiveIn(backups), `${place}/${name}.json`)
      copied.push(name)
    }
  })
  return copied
}

/**
 * The chains off the site that the rules do not keep, whatever became of their removal before. Those that are here
 * stay.
 */
export function chainsToRemove(there: Offsite, here: string[], rules: Rules, now: Date) {
  const names = [...new Set([...there.keys()].map(path => path.split('/')[0]!))].toSorted()
  const whole = names.filter(name => there.has(`${name}/base/${name}.json`))
  const spans = names.map(name => {
    const next = whole.find(it => it > name)
    return { name, from: startOf(name), to: next === undefined ? undefined : startOf(next) }
  })
  const kept = keptChains(spans, rules, now)
  return spans.filter(span => !kept.includes(span) && !here.includes(span.name)).map(({ name }) => name)
}

/**
 * Removes them, with all versions that there are. What is locked still stays, for a later night. Only under the data
 * lock, and after the rules were applied here.
 */
export async function pruneArchiveOffsite(site: OffSite, there: Offsite, removed: string[]) {
  for (const chain of removed) {
    // Without it a base counts no more.
    const count = `${chain}/base/${chain}.json`
    if (there.has(count) && !(await removeForGood(site, keyOf(site, count)))) continue
    const others = [...there.keys()].filter(path => path.startsWith(`${chain}/`) && path !== count)
    await mapConcurrent(others, path => removeForGood(site, keyOf(site, path)))
  }
}
