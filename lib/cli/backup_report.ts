// Backup sets in the words of the people who read them.
import { DUMP, fileOf, type Manifest } from '../backup/manifest.ts'
import type { Kept } from '../backup/retention.ts'
import { age, size, counted } from '../system/format.ts'
import { filesText, rowsOf } from '../backup/set_summary.ts'

interface Listing {
  sets: Manifest[]
  /** the names of folders that are no complete sets */
  broken?: { name: string; damage: string }[]
  /** the names of those whose manifest cannot be understood */
  unknown?: string[]
  /** the names of those that are off the site too, as far as is known here */
  copied?: string[]
}

/** A line a set, newest first. */
export function listText(place: string, { sets, broken = [], unknown = [], copied = [] }: Listing) {
  const lines = sets.map(set => {
    const { name, made, objects, database, recipients } = set
    const facts = [
      `${age(new Date(made))} old`,
      `dump ${size(fileOf(set, DUMP)?.bytes ?? 0)}`,
      counted(rowsOf(set), 'row'),
      filesText(objects),
      `PostgreSQL ${database.server}`,
    ]
    if (recipients) facts.push('encrypted')
    if (copied.includes(name)) facts.push('off the site too')
    return `${name}  ${facts.join(' · ')}`
  })
  const unusable = broken.map(
    ({ name, damage }) => `${name}  incomplete: ${damage}; it counts for nothing, and nothing removes it`,
  )
  const foreign = unknown.map(
    name =>
      `${name}  its manifest cannot be understood; it counts for nothing, and while it is there nothing is removed`,
  )
  return [...lines, ...unusable, ...foreign].join('\n') || `no backup sets in ${place}`
}

/** A line a set, with what becomes of it and why. */
export function keptText(plan: Kept[]) {
  return (
    plan.map(({ name, keep, reason }) => `${keep ? 'keep  ' : 'remove'}  ${name}  ${reason}`).join('\n') || 'no sets'
  )
}
