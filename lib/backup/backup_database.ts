// The database's part of a backup set.
import { randomUUID } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { hangUpLater } from '../console/session.ts'
import { freeSpace, orFull } from './backup_folder.ts'
import { compareRows } from './compare_rows.ts'
import type { Dump } from './dump.ts'
import { DUMPS, seenInside, withFolder } from './dumps_folder.ts'
import { EXIT, Failure } from '../errors.ts'
import { moveFile, writeOutput } from '../large_files.ts'
import { inServer, type Server } from '../postgres.ts'
import { countRows, openSnapshot, type Facts } from './snapshot.ts'
import { attempt } from '../run.ts'

export const DUMP = 'database.dump'
export const GLOBALS = 'globals.sql'

// zstd is quicker and smaller than gzip; pg_dump has it since 16.
const compression = ({ number }: Facts) => (number >= 160_000 ? 'zstd:3' : '6')

// A dump is hardly ever larger than its database.
const hasRoom = ({ bytes }: Facts) => {
  try {
    accessSync(DUMPS, constants.W_OK)
    return freeSpace(DUMPS) > bytes
  } catch {
    return false
  }
}

/** Calls back with a folder in db/dumps that the server can write to; with undefined when there is none: it has no room, or the server sees another folder there. */
const withStage = async (server: Server, facts: Facts, work: (folder: string | undefined) => Promise<void>) => {
  if (!hasRoom(facts)) return work(undefined)
  await withFolder('dumping', async folder => {
    try {
      const { code } = await attempt(inServer(server, 'test', '-w', seenInside(folder)))
      await work(code === 0 ? folder : undefined)
    } catch (error) {
      throw orFull(error, DUMPS)
    }
  })
}

const dump = async (server: Server, snapshot: string, facts: Facts, file: string, estimate: number | undefined, mark: string, signal: AbortSignal) => {
  const words = ['--format=custom', `--compress=${compression(facts)}`, '--create', '--no-password', '--lock-wait-timeout=60s', `--snapshot=${snapshot}`]
  // By itself the server notices only when a query ends, or a lock is had, that pg_dump has gone.
  const environment = [mark, 'PGOPTIONS=-c client_connection_check_interval=2s']
  const command = inServer(server, 'env', ...environment, 'pg_dump', ...words, `--username=${server.user}`, `--dbname=${server.database}`)
  const hint = 'no set was made; the lines above are of pg_dump. A deploy that migrates at this moment holds its tables: run it again later'
  const options = { what: 'pg_dump', hint, estimate, signal }
  // pg_dump goes back in a file of its own and notes where each table begins: a restore is quicker then. And what passes through Docker takes a third longer.
  await withStage(server, facts, async folder => {
    if (folder === undefined) return writeOutput(command, file, options)
    const staged = join(folder, DUMP)
    await writeOutput([...command, `--file=${join(seenInside(folder), DUMP)}`], staged, { ...options, byItself: true })
    await moveFile(staged, file)
  })
}

/** Writes a dump, and gives the rows of each table in the very snapshot that it is made of. Throws a Failure; 65 for a database without a table. */
export const dumpAndCount = async (server: Server, facts: Facts, file: string, estimate: number | undefined) => {
  const mark = `AVRIL_DUMP=${randomUUID()}`
  const stopping = new AbortController()
  const snapshot = await openSnapshot(server)
  // A pg_dump whose client has ended would go on, and hold its locks.
  const hangUp = await hangUpLater(server, mark)
  const count = async () => {
    try {
      return await countRows(server, server.database, snapshot.id)
    } catch (error) {
      stopping.abort()
      throw error
    }
  }
  try {
    const [counted, dumped] = await Promise.allSettled([count(), dump(server, snapshot.id, facts, file, estimate, mark, stopping.signal)])
    if (counted.status === 'rejected') throw counted.reason
    if (dumped.status === 'rejected') throw dumped.reason
    const tables = counted.value
    if (Object.keys(tables).length > 0) return tables
    throw new Failure('the database has no table, so there is nothing to back up', { exitCode: EXIT.data, hint: 'no set was made; was the database emptied? scripts/psql.ts' })
  } finally {
    await hangUp()
    await snapshot.release()
  }
}

/** Saves roles and their rights. Throws a Failure. */
export const dumpGlobals = (server: Server, file: string) =>
  writeOutput(inServer(server, 'pg_dumpall', '--globals-only', '--no-password', `--username=${server.user}`), file, { what: 'pg_dumpall --globals-only' })

/** Compares what was read from a dump with what the database had. Throws a Failure (65) with the tables that differ. */
export const compareTables = (had: Record<string, number>, { tables }: Dump) => {
  compareRows(had, tables, {
    message: differing => `the dump is not what the database had (${differing} tables differ)`,
    found: 'in the dump',
    expected: 'in the database',
    hint: 'no set was made; run it again, and if it happens again look at the log of postgres',
  })
}
