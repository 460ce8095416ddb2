// The dump that a first start restores: what can be said of it before there is a server that reads it.
import { closeSync, existsSync, readSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT } from '../system/errors.ts'
import { openPlain } from '../system/files.ts'
import { bad, type Finding, good } from './findings.ts'
import { checkDigest, findDump } from '../restore/find_dump.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { size } from '../system/format.ts'

/** What a file begins with. */
const headOf = (file: string) => {
  const head = Buffer.alloc(7)
  const descriptor = openPlain(realpathSync(file))
  try {
    readSync(descriptor, head)
  } finally {
    closeSync(descriptor)
  }
  return head.toString('latin1')
}

/**
 * Whether a file is of pg_dump's custom format, or its tar format (the directory format is a folder). Throws a Failure
 * for what is not a plain file.
 */
export function isArchive(file: string) {
  return /^(PGDMP|toc\.dat$)/.test(headOf(file))
}

/** What is to be said of db/dumps/latest.dump. Throws a Failure (65) when it is not what its digest was made of. */
export async function dumpFindings(): Promise<Finding[]> {
  const file = join(DUMPS, 'latest.dump')
  if (!existsSync(file)) return [good('no db/dumps/latest.dump: a first start begins with an empty database')]
  const wrong = (what: string, hint = 'put a good one in its place, or remove it to begin with an empty database') => [
    bad(`db/dumps/latest.dump ${what}`, hint, { exitCode: EXIT.data }),
  ]
  const stats = statSync(file)
  if (!realpathSync(file).startsWith(`${realpathSync(DUMPS)}/`))
    return wrong('is a link that leads out of db/dumps', 'copy the dump there')
  if (stats.isDirectory()) return [good('db/dumps/latest.dump, in directory format: a first start restores it')]
  if (stats.size === 0) return wrong('is empty')
  if (!isArchive(file)) return wrong('is not an archive of pg_dump (made with --format=custom)')
  const source = findDump('latest', '')
  await checkDigest(file, source)
  return [
    good(
      `db/dumps/latest.dump, ${size(stats.size)}${source.sha256 ? ', its sha256 fits' : ''}: a first start restores it`,
    ),
  ]
}
