// The uploaded files as they lie in a backup set: an index, and each content once, by its sha256, whatever the keys look like.
import { createReadStream, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { shown, type Stored } from './bucket.ts'
import { Failure, messageOf } from './errors.ts'
import { hashOf } from './large_files.ts'
import { checkInterruption } from './signals.ts'

export const indexFile = (folder: string) => join(folder, 'objects.jsonl')

/** The file with a content in a set. */
export const contentFile = (folder: string, sha256: string) => join(folder, 'objects', sha256.slice(0, 2), sha256)

const spoilt = (what: string) => new Failure(`the uploaded files of this set cannot be used: ${what}`, { hint: 'take another set (scripts/backup.ts --list)' })

const entryOf = (line: string): Stored => {
  const entry = JSON.parse(line) as Stored
  // The sha256 becomes a path.
  if (typeof entry.key === 'string' && Number.isSafeInteger(entry.bytes) && /^[0-9a-f]{64}$/.test(entry.sha256)) return entry
  throw new Error('it is no entry')
}

/** The index of a set, line by line. Throws a Failure when it is missing or damaged. */
export const readIndex = async function* (folder: string): AsyncGenerator<Stored> {
  const file = indexFile(folder)
  if (!existsSync(file)) throw spoilt(`there is no ${file}`)
  let number = 0
  for await (const line of linesOf(file)) {
    number += 1
    let entry
    try {
      entry = entryOf(line)
    } catch (error) {
      throw spoilt(`${file} line ${number}: ${messageOf(error)}`)
    }
    yield entry
  }
}

// Not readline's lines: those end at U+2028 too, which JSON leaves as it is in a key.
const linesOf = async function* (file: string) {
  let rest = ''
  for await (const chunk of createReadStream(file, 'utf8')) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

/** What is wrong with the content of an entry; '' when nothing is. */
export const troubleOf = async (folder: string, { bytes, sha256 }: Stored, full: boolean) => {
  const file = contentFile(folder, sha256)
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found) return `${file} is missing`
  if (found.size !== bytes) return `${file} has ${found.size} bytes instead of ${bytes}`
  return full && (await hashOf(file, 'sha256')) !== sha256 ? `${file} has another content than its sha256 says` : ''
}

/** Checks that every content is there, whole; `full` reads all of them. Throws a Failure that names the first that is not. */
export const checkContents = async (folder: string, entries: AsyncIterable<Stored> | Stored[], { full }: { full: boolean }) => {
  const good = new Set<string>()
  const total = { count: 0, bytes: 0 }
  let first = ''
  let bad = 0
  for await (const entry of entries) {
    checkInterruption()
    const trouble = good.has(entry.sha256) ? '' : await troubleOf(folder, entry, full)
    if (trouble === '') good.add(entry.sha256)
    else bad += 1
    if (trouble !== '' && bad === 1) first = `${shown(entry.key)}: ${trouble}`
    total.count += 1
    total.bytes += entry.bytes
  }
  if (bad > 0) throw spoilt(`${bad} of ${total.count} ${bad === 1 ? 'is' : 'are'} damaged; ${first}`)
  return total
}

/** Checks a set's uploaded files against its index. */
export const checkObjects = (folder: string, { full = false } = {}) => checkContents(folder, readIndex(folder), { full })
