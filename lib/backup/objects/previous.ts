// Finds what the previous backup set has of the uploaded files, while they are being listed.
import { existsSync } from 'node:fs'
import type { Listed, Stored } from '../../s3/bucket.ts'
import { messageOf } from '../../system/errors.ts'
import { type Contents, readIndex } from './catalog.ts'
import { say } from '../../system/progress.ts'

/** An object that is listed, and what the previous set has under the same key. */
export interface FilePair {
  listed: Listed
  old: Stored | undefined
}

export function isSame(a: Listed, b: Listed) {
  return a.key === b.key && a.etag === b.etag && a.bytes === b.bytes && a.modified === b.modified
}

// One that cannot be read only means that more is fetched.
const readPrevious = async function* (previous: Contents | undefined) {
  if (previous === undefined || !existsSync(previous.index)) return
  try {
    yield* readIndex(previous)
  } catch (error) {
    say.warn(`${messageOf(error)}; the files are fetched anew`)
  }
}

/**
 * Pairs what is listed with what the previous set has under the same key. Both are in the order of the keys' bytes, so
 * neither has to be in memory as a whole.
 */
export function pairing(previous: Contents | undefined) {
  const entries = readPrevious(previous)
  let current: IteratorResult<Stored, void> | undefined
  const isBehind = (key: string) =>
    !current || (!current.done && Buffer.compare(Buffer.from(current.value.key), Buffer.from(key)) < 0)
  const pair = async (listed: Listed): Promise<FilePair> => {
    while (isBehind(listed.key)) current = await entries.next()
    const old = current?.value ?? undefined
    return { listed, old: old?.key === listed.key ? old : undefined }
  }
  return async (page: Listed[]) => {
    const pairs = []
    for (const listed of page) pairs.push(await pair(listed))
    return pairs
  }
}
