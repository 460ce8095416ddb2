// The database's part of a backup set.
import { randomUUID } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { hangUpLater } from '../docker/exec_session.ts'
import { asDiskFull, freeSpace } from '../system/disk_space.ts'
import { compareRows } from '../postgres/compare_rows.ts'
import type { Dump } from '../postgres/dump_archive.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { plainSize } from '../system/files.ts'
import { copyPlain, showGrowth, writeOutput } from '../system/large_files.ts'
import { ACCOUNT, attemptInServer, inServer, inSession, login, type Server } from '../postgres/server.ts'
import { saveRoles } from '../postgres/saved_roles.ts'
import { countRows, type Facts, openSnapshot } from '../postgres/snapshot.ts'
import { statisticsFlags } from '../postgres/statistics.ts'
import { DUMP, ROLES } from './manifest.ts'
import { alongside } from '../system/concurrency.ts'
import type { Disposable } from '../system/scope.ts'
import { shielded } from '../system/signals.ts'

/** The one folder of the host that the server's container can write to, and where it is there. */
const [WORK, WORK_INSIDE] = [join(root, 'db', 'work'), '/pg-work']

// zstd is quicker and smaller than gzip; pg_dump has it since 16.
const compression = ({ number }: Facts) => (number >= 160_000 ? 'zstd:3' : '6')

// A dump is hardly ever larger than its database.
const hasRoom = ({ bytes }: Facts) => {
  try {
    accessSync(WORK, constants.R_OK | constants.X_OK)
    return freeSpace(WORK) > bytes
  } catch {
    return false
  }
}

/** A file that the server writes, and that can be read here. */
interface Stage extends Disposable {
  /** as the server calls it */
  inside: string
  file: string
}

// Only the server ever writes, or removes anything, in there: whoever does it from outside could be led elsewhere. The
// folder of its socket stays (postgres/start.sh).
const SWEEP = 'find "$0" -mindepth 1 ! -path "$0/socket" ! -path "$0/socket/*" -delete'

/**
 * Opens such a file. Gives undefined when there is no place for it: it has no room, or the server sees another folder
 * there.
 */
const openStage = async (server: Server, facts: Facts): Promise<Stage | undefined> => {
  if (!hasRoom(facts)) return undefined
  const name = `${randomUUID()}.dump`
  const run = (script: string) => attemptInServer(server, inServer(server, 'sh', '-c', script, WORK_INSIDE, name))
  const dispose = async () => void (await shielded(() => run(SWEEP)))
  const stage = { inside: join(WORK_INSIDE, name), file: join(WORK, name), dispose }
  try {
    const { code } = await run(`${SWEEP}; : >"$0/$1"`)
    if (code === 0 && plainSize(stage.file) === 0) return stage
  } catch (error) {
    await dispose()
    throw error
  }
  await dispose()
  return undefined
}

const dump = async (
  server: Server,
  snapshot: string,
  facts: Facts,
  file: string,
  estimate: number | undefined,
  mark: string,
  signal: AbortSignal,
) => {
  const words = [
    `--encoding=${facts.encoding}`,
    '--format=custom',
    `--compress=${compression(facts)}`,
    '--create',
    ...statisticsFlags(facts.number),
    '--no-password',
    '--lock-wait-timeout=60s',
    `--snapshot=${snapshot}`,
  ]
  // By itself the server notices only when a query ends, or a lock is had, that pg_dump has gone.
  const command = inSession(
    server,
    ['-c client_connection_check_interval=2s'],
    'env',
    mark,
    'pg_dump',
    ...words,
    ...login(server, server.database),
  )
  const hint =
    'no set was made; the lines above are of pg_dump. A deploy that migrates at this moment holds its tables: run ' +
    'it again later'
  const options = { what: 'pg_dump', hint, estimate, signal }
  // pg_dump goes back in a file of its own and notes where each table begins: a restore is quicker then. And what
  // passes through Docker takes a third longer.
  const stage = await openStage(server, facts)
  if (!stage) return writeOutput(command, file, options)
  try {
    await showGrowth([...command, `--file=${stage.inside}`], stage.file, options)
    await copyPlain(stage.file, file)
  } catch (error) {
    throw asDiskFull(error, WORK)
  } finally {
    await stage.dispose()
  }
}

/**
 * Writes a dump and the roles of the server into a folder, and gives the rows of each table in the very snapshot that
 * the dump is made of. Its size is estimated, in bytes. Throws a Failure; 65 for a database without a table.
 */
export async function dumpAndCount(server: Server, facts: Facts, folder: string, estimate: number | undefined) {
  const mark = `AVRIL_DUMP=${randomUUID()}`
  const snapshot = await openSnapshot(server)
  // A pg_dump whose client has ended would go on, and hold its locks.
  const hangUp = await hangUpLater({ ...server, account: ACCOUNT }, mark)
  try {
    const tables = await alongside(
      () => countRows(server, server.database, snapshot.id),
      signal => dump(server, snapshot.id, facts, join(folder, DUMP), estimate, mark, signal),
      () => saveRoles(server, join(folder, ROLES)),
    )
    if (Object.keys(tables).length > 0) return tables
    throw new Failure('the database has no table, so there is nothing to back up', {
      exitCode: EXIT.data,
      hint: 'no set was made; was the database emptied? scripts/psql.ts',
    })
  } finally {
    await hangUp()
    await snapshot.release()
  }
}

/** Compares what was read from a dump with what the database had. Throws a Failure (65) with the tables that differ. */
export function compareTables(had: Record<string, number>, { tables }: Dump) {
  compareRows(had, tables, {
    message: differing => `the dump is not what the database had (${differing} tables differ)`,
    found: 'in the dump',
    expected: 'in the database',
    hint: 'no set was made; run it again, and if it happens again look at the log of postgres',
  })
}
