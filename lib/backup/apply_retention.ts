// The sets that nobody needs any more, and what was published of them, are removed.
import { renameSync, rmSync } from 'node:fs'
import { readPlainIfThere } from '../system/files.ts'
import { DUMP, fileOf, prefixOf } from './manifest.ts'
import { digestFile, dumpFile, roleFiles } from './publish_dump.ts'
import { type BackupSet, listSets, partialOf } from './sets.ts'
import { type Kept, retain, type Rules } from './retention.ts'

const unpublish = (set: BackupSet) => {
  const name = prefixOf(set.name)
  const published = readPlainIfThere(digestFile(name))
  if (name === 'latest' || !published?.startsWith(fileOf(set, DUMP)?.sha256 ?? '-')) return
  for (const file of [dumpFile(name), digestFile(name), ...roleFiles(name)]) rmSync(file, { force: true })
}

// Whole, or no set any more: if this is killed the next sweep ends it.
export function removeSet(set: BackupSet) {
  unpublish(set)
  const partial = partialOf(set.folder)
  renameSync(set.folder, partial)
  rmSync(partial, { recursive: true, force: true })
}

/** What the rules say of each set of a folder. */
export function planRetention(folder: string, rules: Rules): Kept[] {
  return retain(listSets(folder).sets, rules, new Date())
}

/** Removes the sets that the rules do not keep, and what was published of them; gives their names. */
export function applyRetention(folder: string, rules: Rules) {
  const { sets } = listSets(folder)
  const goes = new Set(
    retain(sets, rules, new Date())
      .filter(({ keep }) => !keep)
      .map(({ name }) => name),
  )
  const removed = sets.filter(({ name }) => goes.has(name))
  for (const set of removed) removeSet(set)
  return removed.map(({ name }) => name)
}
