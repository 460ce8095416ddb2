// Backup sets in the words of the people who read them.
import { DUMP } from './backup_database.ts'
import type { Kept } from './retention.ts'
import { age, size } from '../say.ts'
import { bytesOf, fileOf, type BackupSet, type Manifest } from './sets.ts'

const rowsOf = ({ database }: Manifest) => Object.values(database.tables).reduce((sum, rows) => sum + rows, 0)

const count = (number: number, what: string) => `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : 's'}`

const filesText = (objects: BackupSet['objects']) =>
  objects ? `${count(objects.count, 'file')} (${size(objects.bytes)})` : 'no files'

/** "avril-20261122T030000Z: 61.3 MB, 52 tables, 1,204,112 rows, verified in 3.1 s" */
export const setText = (set: BackupSet) => {
  const { verify = 0, dump = 0, encrypt = 0 } = set.seconds
  const contents = [
    size(bytesOf(set)),
    count(Object.keys(set.database.tables).length, 'table'),
    count(rowsOf(set), 'row'),
    filesText(set.objects),
  ].join(', ')
  return `${set.name}: ${contents}; dumped in ${dump.toFixed(1)} s, verified in ${verify.toFixed(1)} s${set.recipients ? `, encrypted in ${encrypt.toFixed(1)} s` : ''}`
}

interface Listing {
  sets: Manifest[]
  /** the names of folders that are no complete sets */
  broken?: string[]
  /** the names of those whose manifest cannot be understood */
  unknown?: string[]
  /** the names of those that are off the site too, as far as is known here */
  copied?: string[]
}

/** A line a set, newest first. */
export const listText = (place: string, { sets, broken = [], unknown = [], copied = [] }: Listing) => {
  const lines = sets.map(set => {
    const { name, made, objects, database, recipients } = set
    const facts = [
      `${age(new Date(made))} old`,
      `dump ${size(fileOf(set, DUMP)?.bytes ?? 0)}`,
      count(rowsOf(set), 'row'),
      filesText(objects),
      `PostgreSQL ${database.server}`,
    ]
    if (recipients) facts.push('encrypted')
    if (copied.includes(name)) facts.push('off the site too')
    return `${name}  ${facts.join(' · ')}`
  })
  const unusable = broken.map(
    name =>
      `${name}  incomplete: its manifest or a file of it is missing; it counts for nothing, and nothing removes it`,
  )
  const foreign = unknown.map(
    name =>
      `${name}  its manifest cannot be understood; it counts for nothing, and while it is there nothing is removed`,
  )
  return [...lines, ...unusable, ...foreign].join('\n') || `no backup sets in ${place}`
}

/** A line a set, with what becomes of it and why. */
export const keptText = (plan: Kept[]) =>
  plan.map(({ name, keep, reason }) => `${keep ? 'keep  ' : 'remove'}  ${name}  ${reason}`).join('\n') || 'no sets'
