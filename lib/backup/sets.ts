// Backup sets: a folder for each in BACKUP_DIR, which gets its name when it is complete and verified.
// avril-20261122T030000Z/ manifest.json      what is in it, and what the database had database.dump      pg_dump's
// custom format roles.json         roles, with their passwords' verifiers; older sets have globals.sql (pg_dumpall
// --globals-only) instead objects.jsonl      the uploaded files: one a line objects/ab/ab…     their contents, by their
// sha256; hard links to those of the set before where nothing changed  With BACKUP_RECIPIENTS all of these but the
// manifest are encrypted: database.dump.age, roles.json.age, objects.jsonl.age, the contents in objects; and there is
// objects.sha256     the contents in a form that needs no key (sha256sum --check reads it): what the set is made of,
// for copies and for checks
import { rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { usage } from '../errors.ts'
import { namesInFolder, plainSize, readPlainIfThere } from '../files.ts'
import { isRecord, isText, parseJson } from '../forms.ts'
import type { Digest } from '../large_files.ts'

/** A file of a set as it lies there; `plain` is its content when it is encrypted. */
export interface FileOfSet extends Digest {
  plain?: Digest
}

export interface Manifest {
  /** of this form */
  version: 1
  name: string
  /** ISO 8601, UTC */
  made: string
  host: string
  who: string
  database: {
    name: string
    /** PostgreSQL's version */
    server: string
    extensions: Record<string, string>
    /** of the application's sessions; missing in older sets */
    searchPath?: string
    /** qualified name, quoted where it must be → rows, in the dump's own snapshot */
    tables: Record<string, number>
    /** of its data as text, uncompressed; missing in older sets */
    bytes?: number
  }
  /** the live image of each app */
  releases: Record<string, string>
  files: Record<string, FileOfSet>
  /** the public keys that it is encrypted to; missing when it is not encrypted */
  recipients?: string[]
  /** the uploaded files; null when only the database was saved */
  objects: { count: number; bytes: number } | null
  /** spent in each step */
  seconds: Record<string, number>
}

export interface BackupSet extends Manifest {
  folder: string
}

const NAME = /^(?<prefix>[A-Za-z0-9][A-Za-z0-9_-]{0,40})-(?<stamp>\d{8}T\d{6}Z)$/
const PARTIAL = '.partial'

export const ROLES = 'roles.json'
/** The file with the roles, as it is named in sets of today and of before. */
export const ROLES_FILES = [ROLES, 'globals.sql'] as const

export const isSetName = (name: string) => NAME.test(name)

/** "20261122T030000Z" */
export const stampOf = (time: Date) => time.toISOString().replace(/[-:]|\.\d+/g, '')

export const setName = (prefix: string, time: Date) => `${prefix}-${stampOf(time)}`

export const partialOf = (folder: string) => folder + PARTIAL

/** What a set's name begins with: "avril" in avril-20261122T030000Z. */
export const prefixOf = (name: string) => NAME.exec(name)?.groups?.prefix ?? name

const FILE = /^(?:(?:database\.dump|roles\.json|globals\.sql|objects\.jsonl)(?:\.age)?|objects\.sha256)$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/
const isCount = (it: unknown) => Number.isSafeInteger(it) && Number(it) >= 0
const isDigest = (it: unknown) =>
  isRecord(it) && isCount(it.bytes) && isText(it.sha256) && /^[0-9a-f]{64}$/.test(it.sha256)
const isDatabase = (it: unknown) =>
  isRecord(it) &&
  isText(it.name) &&
  isText(it.server) &&
  isRecord(it.tables) &&
  Object.values(it.tables).every(isCount) &&
  (it.bytes === undefined || isCount(it.bytes)) &&
  (it.searchPath === undefined || isText(it.searchPath))
const isFile = ([name, it]: [string, unknown]) =>
  FILE.test(name) && isRecord(it) && isDigest(it) && (it.plain === undefined || isDigest(it.plain))

/**
 * Whether a value, wherever it comes from, is a manifest that the scripts can count on; the names in it become paths.
 */
export const isManifest = (it: unknown): it is Manifest => {
  if (!isRecord(it) || it.version !== 1) return false
  const { name, made, host, who, database, files, recipients, objects } = it
  const hasName =
    isText(name) &&
    isSetName(name) &&
    isText(made) &&
    TIME.test(made) &&
    !Number.isNaN(Date.parse(made)) &&
    isText(host) &&
    isText(who)
  const hasObjects = objects === null || (isRecord(objects) && isCount(objects.count) && isCount(objects.bytes))
  const isSealed = Array.isArray(recipients) && recipients.length > 0 && recipients.every(isText)
  if (
    !hasName ||
    !isDatabase(database) ||
    !hasObjects ||
    (!isSealed && recipients !== undefined) ||
    !isRecord(files) ||
    !Object.entries(files).every(isFile)
  )
    return false
  const has = (file: string) => fileOf(it as unknown as Manifest, file)?.name === (isSealed ? sealedName(file) : file)
  return (
    has('database.dump') &&
    ROLES_FILES.some(has) &&
    (!isSealed || !objects || (has('objects.jsonl') && Object.hasOwn(files, LIST)))
  )
}

/** The manifest in a text; undefined when it is none. */
export const manifestOf = (text: string): Manifest | undefined => {
  const it = parseJson(text)
  return isManifest(it) ? it : undefined
}

// A set that lost a file, or a manifest of another form, is no set to count on.
const readSet = (folder: string): BackupSet | undefined => {
  try {
    const manifest = manifestOf(readPlainIfThere(join(folder, 'manifest.json')) ?? '')
    const whole =
      manifest && Object.entries(manifest.files).every(([file, { bytes }]) => plainSize(join(folder, file)) === bytes)
    return whole ? { ...manifest, name: basename(folder), folder } : undefined
  } catch {
    return undefined
  }
}

/**
 * The sets of a folder that are complete, newest first, and the names of those that have a set's name and are not.
 * Anything else in the folder is not looked at.
 */
export const listSets = (folder: string) => {
  const names = namesInFolder(folder).filter(name => NAME.test(name))
  const read = names.map(name => ({ name, set: readSet(join(folder, name)) }))
  return {
    sets: read.flatMap(({ set }) => set ?? []).toSorted((a, b) => b.made.localeCompare(a.made)),
    broken: read.filter(({ set }) => !set).map(({ name }) => name),
  }
}

/**
 * Of sets, newest first, the one that is meant by a name or the beginning of it, without a word the newest; undefined
 * when there is none. Throws a Failure (64) when it could be several.
 */
export const setNamed = <It extends { name: string }>(sets: It[], word: string | undefined): It | undefined => {
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

/** Removes what a backup that was killed left behind. Only under the lock: nobody else is writing then. */
export const sweepPartials = (folder: string) => {
  const left = namesInFolder(folder).filter(name => name.endsWith(PARTIAL) && NAME.test(name.slice(0, -PARTIAL.length)))
  for (const name of left) rmSync(join(folder, name), { recursive: true, force: true })
  return left
}

/** What an encrypted set is made of: a line for each content, "<sha256>  objects/ab/<sha256>". */
export const LIST = 'objects.sha256'

/** How a file is named in a set that is encrypted. */
export const sealedName = (file: string) => `${file}.age`

/** A file of a set: its name there, and the size and sha256 of its clear content. */
export const fileOf = ({ files }: Pick<Manifest, 'files'>, name: string) => {
  const sealed = files[sealedName(name)]
  if (sealed?.plain) return { name: sealedName(name), ...sealed.plain }
  const clear = files[name]
  return clear && { name, bytes: clear.bytes, sha256: clear.sha256 }
}

/** The name of the file with the roles of a set. */
export const rolesFile = (set: Pick<Manifest, 'files'>) => ROLES_FILES.find(name => fileOf(set, name)) ?? ROLES

/** The bytes of what a set has for itself; its uploaded files it may share with other sets. */
export const bytesOf = ({ files }: Manifest) => Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0)
