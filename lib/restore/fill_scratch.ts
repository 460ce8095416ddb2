// Brings a dump into a database of its own beside the live one.
import { closeSync, openSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { giveToApp } from '../postgres/app_role.ts'
import { bringBack, type Lost } from '../postgres/bring_back.ts'
import { compareRows } from '../postgres/compare_rows.ts'
import type { DataWork } from '../system/work_lock.ts'
import { adoptFromLive, createDatabase, databaseName, dropDatabase } from '../postgres/databases.ts'
import type { Dump } from '../postgres/dump_archive.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { asWriter, option, JOBS, psqlWith, type Server, sql } from '../postgres/server.ts'
import { ownTables } from './plan.ts'
import { roleFlags, type RoleOptions } from './check_roles.ts'
import { capture } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { together } from '../system/concurrency.ts'
import type { Disposable } from '../system/scope.ts'
import { checkInterruption, shielded } from '../system/signals.ts'
import { countRows } from '../postgres/snapshot.ts'
import { gatherStatistics, withoutStatistics } from '../postgres/statistics.ts'

export interface Filling {
  server: Server
  step: DataWork['step']
  /** the name of the database that comes to be */
  scratch: string
  /** the dump, for the server */
  inside: string
  dump: Dump
  /** of the application's sessions */
  searchPath: string
  /** a file of SQL to run in it when it is complete */
  anonymise: string | undefined
  options: RoleOptions
}

// Where each core has a job, workers of a job would only sort on the disk what fits into memory.
const WORKERS = availableParallelism() - JOBS

// Nothing is lost by a crash that loses the last commits of a database which is not in its place yet; the swap's own
// commit waits for the disk.
export const SESSION = [
  '-c synchronous_commit=off',
  '-c maintenance_work_mem=256MB',
  `-c max_parallel_maintenance_workers=${WORKERS}`,
]

// The log of building indexes is whole pages: a tenth of the time of a restore is won by writing less of it. Not every
// server was built with lz4.
const HAS_LZ4 =
  `select count(*) from pg_settings, pg_roles where name = 'wal_compression' and 'lz4' = any (enumvals) and rolname ` +
  '= current_user and rolsuper'

/** A database beside the live one. Disposing of it removes it, unless it was given its place. */
export interface Scratch extends Disposable {
  name: string
  /** Says that it has its place, under another name. */
  placed: () => void
}

/** Names the database; nothing is made yet. */
export function openScratch(server: Server, stamp: string): Scratch {
  const name = databaseName(server.database, 'restoring', stamp)
  let isPlaced = false
  const dispose = async () => {
    if (!isPlaced) await shielded(() => discard(server, name))
  }
  return { name, placed: () => void (isPlaced = true), dispose }
}

/** Why nothing was restored, in what was thrown before the database had its place. */
export function asUntouched(error: unknown, { database }: Server) {
  if (!(error instanceof Failure)) return error
  const { message, exitCode, hint } = error
  return new Failure(`nothing was restored: ${message}`, {
    exitCode,
    cause: error,
    hint: `${database} is as it was${hint ? `; ${hint}` : ''}`,
  })
}

/**
 * Makes the database, its rows compared with the dump. Gives what could not be made again of it. Throws a Failure; 65
 * when it has other rows.
 */
export async function fillScratch(filling: Filling): Promise<Lost[]> {
  const { server, step, scratch, inside, dump, searchPath, anonymise, options } = filling
  step('restore', `into ${scratch}, beside the live database`)
  // A signal ends the client, not what it started in the container: a database that comes to be after the clean-up
  // would be left.
  await shielded(() => createDatabase(server, scratch))
  const session = (await sql(server, scratch, HAS_LZ4)) === '1' ? [...SESSION, '-c wal_compression=lz4'] : SESSION
  const flags = [...roleFlags(options), ...(anonymise === undefined ? [] : await withoutStatistics(server))]
  const lost = await bringBack(server, scratch, inside, { searchPath, flags, settings: session, give: true })
  step('check', 'the rows of each table with those of the dump')
  await compareWithDump(server, scratch, dump)
  // An older set, or one that was restored with --no-owner, has it all with POSTGRES_USER.
  try {
    await giveToApp(server, scratch)
  } catch (error) {
    checkInterruption()
    say.warn(`${messageOf(error)}; tsx scripts/setup.ts does that later`)
  }
  if (anonymise !== undefined) {
    step('anonymise', `by ${anonymise}`)
    await runFile(server, scratch, searchPath, anonymise)
  }
  step('analyze')
  await gatherStatistics(server, scratch, anonymise !== undefined)
  await adoptFromLive(server, scratch)
  return lost
}

/** All of a file of SQL, or nothing of it. What runs because it writes is the application's, and so is the session. */
const runFile = async (server: Server, database: string, searchPath: string, file: string) => {
  const writer = await asWriter({ ...server, database })
  const from = openSync(file, 'r')
  try {
    await capture(psqlWith(writer, [option('search_path', searchPath)], database, '--single-transaction', '--file=-'), {
      from,
      what: `the SQL of ${file}`,
    })
  } finally {
    closeSync(from)
  }
}

/** Throws a Failure (65) when a database has not the rows of the dump that it was filled from. */
export async function compareWithDump(server: Server, scratch: string, dump: Dump) {
  const [found, expected] = await together(() => [countRows(server, scratch), ownTables(server, scratch, dump)])
  compareRows(expected, found, {
    message: () => 'what was restored is not what the dump holds',
    found: 'restored',
    expected: 'in the dump',
  })
}

const discard = async (server: Server, scratch: string) => {
  try {
    await dropDatabase(server, scratch)
  } catch (error) {
    say.warn(`${scratch} is left over (${messageOf(error)}); the next run removes it`)
  }
}
