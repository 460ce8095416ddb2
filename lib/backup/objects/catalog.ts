// The uploaded files as they lie in a backup set: an index, and each content once, by its sha256, whatever the keys
// look like.
import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { shown, type Stored } from '../../s3/bucket.ts'
import type { Key } from '../../crypto/age.ts'
import { EXIT, Failure, messageOf } from '../../system/errors.ts'
import { plainSize } from '../../system/files.ts'
import { hashOfContent, type Written } from '../../crypto/encrypted_files.ts'
import { DIGEST, INDEX } from '../manifest.ts'
import { readJson } from '../../system/schema.ts'
import { checkInterruption } from '../../system/signals.ts'

/** The uploaded files of a set, and how they are read. */
export interface Contents {
  /** of the set */
  folder: string
  /** the index in the clear, wherever it lies */
  index: string
  /** for contents that are encrypted */
  key?: Key | undefined
}

/** Those of a set that is not encrypted. */
export function plaintextContents(folder: string): Contents {
  return { folder, index: join(folder, INDEX) }
}

/** A content as it lies in a set: size and sha256 of the file. */
export function storedDigest({ bytes, sha256, encrypted }: Written) {
  return encrypted ?? { bytes, sha256 }
}

/**
 * The file with a content in a set, by the sha256 of what is in that file. So what is encrypted can be checked, shared
 * between sets and copied without a key, and the name does not tell whether it is a content that somebody else knows
 * too.
 */
export function contentFile(folder: string, content: Written) {
  const { sha256 } = storedDigest(content)
  return join(folder, 'objects', sha256.slice(0, 2), sha256)
}

const damaged = (what: string) =>
  new Failure(`the uploaded files of this set cannot be used: ${what}`, {
    exitCode: EXIT.data,
    hint: 'take another set (scripts/backup.ts --list)',
  })

const STORED = v.object({
  ...DIGEST.entries,
  encrypted: v.exactOptional(DIGEST),
  key: v.string(),
  etag: v.optional(v.string(), ''),
  modified: v.optional(v.string(), ''),
  type: v.optional(v.string(), ''),
  headers: v.optional(
    v.object({
      CacheControl: v.exactOptional(v.string()),
      ContentDisposition: v.exactOptional(v.string()),
      ContentEncoding: v.exactOptional(v.string()),
      ContentLanguage: v.exactOptional(v.string()),
      Metadata: v.exactOptional(v.record(v.string(), v.string())),
    }),
    {},
  ),
})

const entryOf = (line: string): Stored => {
  const { value, damage } = readJson(STORED, line)
  if (value) return value
  throw new Error(damage)
}

/** The index of a set, line by line. Throws a Failure when it is missing or damaged. */
export async function* readIndex({ index: file }: Contents): AsyncGenerator<Stored> {
  if (!existsSync(file)) throw damaged(`there is no ${file}`)
  let number = 0
  for await (const line of linesIn(createReadStream(file, 'utf8'))) {
    number += 1
    let entry
    try {
      entry = entryOf(line)
    } catch (error) {
      throw damaged(`${file} line ${number}: ${messageOf(error)}`)
    }
    yield entry
  }
}

/**
 * The lines of a text that comes in pieces. Not readline's: those end at U+2028 too, which JSON leaves as it is in a
 * key.
 */
export async function* linesIn(chunks: AsyncIterable<string>) {
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    yield* lines
  }
  if (rest !== '') yield rest
}

const isContent = async (file: string, { sha256 }: Stored, key: Key | undefined) => {
  try {
    return (await hashOfContent(file, 'sha256', key)) === sha256
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT.data) return false
    throw error
  }
}

/** What is wrong with the content of an entry; undefined when nothing is. */
export async function troubleOf({ folder, key }: Contents, entry: Stored, full: boolean) {
  const file = contentFile(folder, entry)
  const found = plainSize(file)
  const { bytes } = storedDigest(entry)
  if (found === undefined) return `${file} is missing, or not a plain file`
  if (found !== bytes) return `${file} has ${found} bytes instead of ${bytes}`
  return full && !(await isContent(file, entry, key)) ? `${file} has another content than its sha256 says` : undefined
}

/**
 * Checks that every content is there, whole; `full` reads all of them. Throws a Failure that names the first that is
 * not.
 */
export async function checkContents(
  contents: Contents,
  entries: AsyncIterable<Stored> | Stored[],
  { full }: { full: boolean },
) {
  const good = new Set<string>()
  const total = { count: 0, bytes: 0 }
  let first: string | undefined
  let bad = 0
  for await (const entry of entries) {
    checkInterruption()
    const { sha256 } = storedDigest(entry)
    const trouble = good.has(sha256) ? undefined : await troubleOf(contents, entry, full)
    if (trouble === undefined) good.add(sha256)
    else {
      bad += 1
      first ??= `${shown(entry.key)}: ${trouble}`
    }
    total.count += 1
    total.bytes += entry.bytes
  }
  if (bad > 0) throw damaged(`${bad} of ${total.count} ${bad === 1 ? 'is' : 'are'} damaged; ${first}`)
  return total
}

/** Checks a set's uploaded files against its index. */
export function checkObjects(contents: Contents, { full = false } = {}) {
  return checkContents(contents, readIndex(contents), { full })
}
