// What a set says of itself: manifest.json, and the names of the files that it lists.
import * as v from 'valibot'
import { timestamp } from '../system/format.ts'
import { readJson, time, wholeNumber } from '../system/schema.ts'

export const DUMP = 'database.dump'

/** The index of the uploaded files. */
export const INDEX = 'objects.jsonl'

export const NAME = /^(?<prefix>[A-Za-z0-9][A-Za-z0-9_-]{0,40})-(?<stamp>\d{8}T\d{6}Z)$/
export const ROLES = 'roles.json'

/** The file with the roles, as it is named in sets of today and of before. */
export const ROLES_FILES = [ROLES, 'globals.sql'] as const
export function isSetName(name: string) {
  return NAME.test(name)
}
export function setName(prefix: string, time: Date) {
  return `${prefix}-${timestamp(time)}`
}

/** What a set's name begins with: "avril" in avril-20261122T030000Z. */
export function prefixOf(name: string) {
  return NAME.exec(name)?.groups?.prefix ?? name
}
const FILE = /^(?:(?:database\.dump|roles\.json|globals\.sql|objects\.jsonl)(?:\.age)?|objects\.sha256)$/
/** Size and sha256 of a file, which becomes a path. */
export const DIGEST = v.object({
  bytes: wholeNumber,
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'is not 64 hexadecimal digits')),
})

/** A file of a set as it lies there; `plain` is its content when it is encrypted. */
const FILE_OF_SET = v.object({ ...DIGEST.entries, plain: v.exactOptional(DIGEST) })

const DATABASE = v.object({
  name: v.string(),
  /** PostgreSQL's version */
  server: v.string(),
  extensions: v.optional(v.record(v.string(), v.string()), {}),
  /** of the application's sessions; missing in older sets */
  searchPath: v.exactOptional(v.string()),
  /** qualified name, quoted where it must be → rows, in the dump's own snapshot */
  tables: v.record(v.string(), wholeNumber),
  /** of its data as text, uncompressed; missing in older sets */
  bytes: v.exactOptional(wholeNumber),
})

const FIELDS = v.object({
  /** of this form */
  version: v.literal(1),
  name: v.pipe(v.string(), v.regex(NAME, 'is not the name of a set')),
  made: v.pipe(time, v.regex(/Z$/, 'is not a time in UTC')),
  host: v.string(),
  who: v.string(),
  database: DATABASE,
  /** the live image of each app */
  releases: v.optional(v.record(v.string(), v.string()), {}),
  /** their names become paths */
  files: v.record(v.pipe(v.string(), v.regex(FILE, 'is not a file of a set')), FILE_OF_SET),
  /** the public keys that it is encrypted to; missing when it is not encrypted */
  recipients: v.exactOptional(v.pipe(v.array(v.string()), v.minLength(1, 'is empty'))),
  /** the uploaded files; null when only the database was saved */
  objects: v.nullable(v.object({ count: wholeNumber, bytes: wholeNumber })),
  /** spent in each step */
  seconds: v.optional(v.record(v.string(), v.number()), {}),
})

export type FileOfSet = v.InferOutput<typeof FILE_OF_SET>
export type Manifest = v.InferOutput<typeof FIELDS>

/** A file has its name of an encrypted set there, and only there. */
const has = ({ files, recipients }: Manifest, file: string) =>
  fileOf({ files }, file)?.name === (recipients ? encryptedName(file) : file)

/** For what holds one. */
export const MANIFEST = v.pipe(
  FIELDS,
  v.check(it => has(it, DUMP) && ROLES_FILES.some(name => has(it, name)), 'has no dump or no roles'),
  v.check(
    it => !it.recipients || !it.objects || (has(it, INDEX) && Object.hasOwn(it.files, LIST)),
    'has uploaded files, and no list of them',
  ),
)

/** The manifest in a text that may come from anywhere, or in words why it is none. */
export function readManifest(text: string) {
  return readJson(MANIFEST, text)
}

/** What an encrypted set is made of: a line for each content, "<sha256>  objects/ab/<sha256>". */
export const LIST = 'objects.sha256'

/** How a file is named in a set that is encrypted. */
export function encryptedName(file: string) {
  return `${file}.age`
}

/** A file of a set: its name there, and the size and sha256 of its clear content. */
export function fileOf({ files }: Pick<Manifest, 'files'>, name: string) {
  const sealed = files[encryptedName(name)]
  if (sealed?.plain) return { name: encryptedName(name), ...sealed.plain }
  const plaintext = files[name]
  return plaintext && { name, bytes: plaintext.bytes, sha256: plaintext.sha256 }
}

/** The name of the file with the roles of a set. */
export function rolesFile(set: Pick<Manifest, 'files'>) {
  return ROLES_FILES.find(name => fileOf(set, name)) ?? ROLES
}

/** The bytes of what a set has for itself; its uploaded files it may share with other sets. */
export function bytesOf({ files }: Pick<Manifest, 'files'>) {
  return Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0)
}
