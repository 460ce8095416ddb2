// What a set says of itself: manifest.json, and the names of the files that it lists.
import { timestamp } from '../system/format.ts'
import type { Digest } from '../system/large_files.ts'
import { isRecord, isText, parseJson } from '../system/shapes.ts'

export const DUMP = 'database.dump'

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
export const NAME = /^(?<prefix>[A-Za-z0-9][A-Za-z0-9_-]{0,40})-(?<stamp>\d{8}T\d{6}Z)$/
export const ROLES = 'roles.json'

/** The file with the roles, as it is named in sets of today and of before. */
export const ROLES_FILES = [ROLES, 'globals.sql'] as const
export const isSetName = (name: string) => NAME.test(name)
export const setName = (prefix: string, time: Date) => `${prefix}-${timestamp(time)}`

/** What a set's name begins with: "avril" in avril-20261122T030000Z. */
export const prefixOf = (name: string) => NAME.exec(name)?.groups?.prefix ?? name
export const FILE = /^(?:(?:database\.dump|roles\.json|globals\.sql|objects\.jsonl)(?:\.age)?|objects\.sha256)$/
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
export const isFile = ([name, it]: [string, unknown]) =>
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
  const has = (file: string) =>
    fileOf(it as unknown as Manifest, file)?.name === (isSealed ? encryptedName(file) : file)
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

/** What an encrypted set is made of: a line for each content, "<sha256>  objects/ab/<sha256>". */
export const LIST = 'objects.sha256'

/** How a file is named in a set that is encrypted. */
export const encryptedName = (file: string) => `${file}.age`

/** A file of a set: its name there, and the size and sha256 of its clear content. */
export const fileOf = ({ files }: Pick<Manifest, 'files'>, name: string) => {
  const sealed = files[encryptedName(name)]
  if (sealed?.plain) return { name: encryptedName(name), ...sealed.plain }
  const clear = files[name]
  return clear && { name, bytes: clear.bytes, sha256: clear.sha256 }
}

/** The name of the file with the roles of a set. */
export const rolesFile = (set: Pick<Manifest, 'files'>) => ROLES_FILES.find(name => fileOf(set, name)) ?? ROLES

/** The bytes of what a set has for itself; its uploaded files it may share with other sets. */
export const bytesOf = ({ files }: Manifest) => Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0)
