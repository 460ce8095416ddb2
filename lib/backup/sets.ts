// Backup sets: a folder for each in BACKUP_DIR, which gets its name when it is complete and verified.
//
//   avril-20261122T030000Z/
//     manifest.json      what is in it, and what the database had
//     database.dump      pg_dump's custom format
//     roles.json         roles, with their passwords' verifiers; older sets have globals.sql (of pg_dumpall) instead
//     objects.jsonl      the uploaded files: one a line
//     objects/ab/ab…     their contents, by their sha256; hard links to those of the set before where nothing changed
//
// With BACKUP_RECIPIENTS all of these but the manifest are encrypted: database.dump.age, roles.json.age,
// objects.jsonl.age, the contents in objects; and there is
//
//     objects.sha256     the contents in a form that needs no key (sha256sum --check reads it): what the set is made
//                        of, for copies and for checks
import { rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { messageOf, usage } from '../system/errors.ts'
import { namesInFolder, plainSize, readPlainIfThere } from '../system/files.ts'
import type { Read } from '../system/schema.ts'
import { type Manifest, NAME, readManifest } from './manifest.ts'

export interface BackupSet extends Manifest {
  folder: string
}

const PARTIAL = '.partial'

export function partialOf(folder: string) {
  return folder + PARTIAL
}

/** The manifest of a folder, or in words why there is none: "manifest.json: it is empty". */
export function manifestIn(folder: string): Read<Manifest> {
  try {
    const text = readPlainIfThere(join(folder, 'manifest.json'))
    if (text === undefined) return { damage: 'manifest.json is missing' }
    const { value, damage } = readManifest(text)
    return value ? { value } : { damage: `manifest.json is damaged (${damage})` }
  } catch (error) {
    return { damage: messageOf(error) }
  }
}

// A set that lost a file, or a manifest of another form, is no set to count on.
const readSet = (folder: string): Read<BackupSet> => {
  const read = manifestIn(folder)
  if (!read.value) return read
  const manifest = read.value
  for (const [file, { bytes }] of Object.entries(manifest.files)) {
    const found = plainSize(join(folder, file))
    if (found === undefined) return { damage: `${file} is missing` }
    if (found !== bytes) return { damage: `${file} has ${found} bytes instead of ${bytes}` }
  }
  return { value: { ...manifest, name: basename(folder), folder } }
}

/**
 * The sets of a folder that are complete, newest first, and what has a set's name and is none, with the reason.
 * Anything else in the folder is not looked at.
 */
export function listSets(folder: string) {
  const names = namesInFolder(folder).filter(name => NAME.test(name))
  const read = names.map(name => ({ name, ...readSet(join(folder, name)) }))
  return {
    sets: read.flatMap(({ value }) => value ?? []).toSorted((a, b) => b.made.localeCompare(a.made)),
    broken: read.flatMap(({ name, damage }) => (damage === undefined ? [] : { name, damage })),
  }
}

/**
 * Of sets, newest first, the one that is meant by a name or the beginning of it, without a word the newest; undefined
 * when there is none. Throws a Failure (64) when it could be several.
 */
export function setNamed<It extends { name: string }>(sets: It[], word: string | undefined): It | undefined {
  if (word === undefined) return sets[0]
  const exact = sets.find(({ name }) => name === word)
  const [first, ...others] = sets.filter(({ name }) => word !== '' && name.startsWith(word))
  if (exact || others.length === 0) return exact ?? first
  const names = [first, ...others].map(it => it?.name)
  throw usage(
    `${word} could be ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}`,
    'say more of the name',
  )
}

/** Of sets, newest first, the newest that has uploaded files; undefined when none has. */
export function newestWithFiles(sets: BackupSet[]) {
  return sets.find(({ objects }) => objects)
}

/**
 * Removes what a backup that was killed left behind, but what is to become a set of this name. Only under the lock:
 * nobody else is writing then.
 */
export function sweepPartials(folder: string, but?: string) {
  const left = namesInFolder(folder).filter(
    name => name.endsWith(PARTIAL) && NAME.test(name.slice(0, -PARTIAL.length)) && name !== `${but}${PARTIAL}`,
  )
  for (const name of left) rmSync(join(folder, name), { recursive: true, force: true })
  return left
}

/** The set of a name or of its beginning, or the newest one. Throws a Failure (64) when there is none. */
export function findSet(folder: string, name: string | undefined) {
  const { sets } = listSets(folder)
  const set = setNamed(sets, name)
  if (set) return set
  throw usage(
    name === undefined ? `there is no set in ${folder}` : `there is no set ${name} in ${folder}`,
    'scripts/backup.ts --list shows the sets',
  )
}
