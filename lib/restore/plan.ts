// Whether a dump can be restored, and what that would do: all of it found out while the site is up, and nothing
// touched.
// Long, since a plan, and what a restore gives, is said here, field by field.
import { hostname } from 'node:os'
import { databaseExists, maintenance, databaseName } from '../postgres/databases.ts'
import { type Dump, readDump } from '../postgres/dump_archive.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { checkDigest, type Source } from './find_dump.ts'
import { captureInServer, inServer, rows, searchPathOf, type Server, sql } from '../postgres/server.ts'
import { usersOf } from '../docker/restart.ts'
import { checkRoles, type RoleOptions } from './check_roles.ts'
import { size } from '../system/format.ts'
import { together } from '../system/concurrency.ts'
import { countRows } from '../postgres/snapshot.ts'
import type { Stack } from '../docker/stack.ts'
import type { Staged } from './stage_dump.ts'
import { checkSwappable } from '../postgres/swap_databases.ts'
import { compareTables } from '../backup/dump_database.ts'
import { targetText } from './moments.ts'
import type { RecoveryTarget } from '../postgres/recovered.ts'
import type { RecoveredMoment } from './recover_moment.ts'
import type { Manifest } from '../backup/manifest.ts'
import type { RestoredFiles } from '../backup/objects/restore.ts'
import type { Lost } from '../postgres/bring_back.ts'

export interface RestoreRequest extends RoleOptions {
  /** a name or a path; without it db/dumps/latest.dump */
  name: string | undefined
  /** a moment that is recovered, in place of a dump */
  target?: RecoveryTarget | undefined
  /** the database that the dump must be of */
  fromDatabase: string
  /** restore into a new database of this name, and swap nothing */
  into: string | undefined
  /** bring back the uploaded files of the set too */
  files: boolean
  /** a file of SQL to run on what was restored, before it takes its place */
  anonymise: string | undefined
  /** the file with the private key to an encrypted set */
  keyFile: string | undefined
  /** the set of a server of ours that the dump was downloaded from */
  vouched?: Manifest
}

export interface RestorePlan {
  source: string
  /** that it is of, if it is no dump of a person's */
  moment?: RecoveredMoment | undefined
  /** what made the set, if it is one */
  origin: string | undefined
  dump: Dump
  host: string
  /** the database that comes to be, or is replaced */
  database: string
  /** it takes the place of the live one; else it is new */
  replaces: boolean
  /** the name under which the replaced one is kept; undefined when none is */
  former: string | undefined
  /** the rows of each table of the live database; undefined when it is not there */
  now: Record<string, number> | undefined
  /** the rows of each table of the dump */
  after: Record<string, number>
  /** the search_path of the application's sessions */
  searchPath: string
  /** what runs in it at a restore, in words; undefined when a backup set of this server holds it */
  runs: string[] | undefined
  /** the instances that are started anew */
  restarts: string[]
  /** the database that was filled and compared before, and has only to be renamed */
  ready?: string
}

export interface RestoreResult {
  result: 'restored' | 'undone'
  database: string
  /** the name of the one that it replaced, if any */
  former: string | null
  /** the dump, or the database that was swapped back */
  from: string
  /**
   * of the swap alone, and from its beginning until the apps were healthy again; null when no app was connected: in
   * seconds
   */
  swap: number
  interruption: number | null
  /** what of the dump could not be made again; none of it is data */
  lost: Lost[]
  /** of the set, that were brought back too */
  files: RestoredFiles | null
  /** spent in each step */
  seconds: Record<string, number>
}

const refuse = (message: string, hint: string, exitCode: number = EXIT.data) =>
  new Failure(message, { exitCode, hint: `nothing was touched; ${hint}` })

const major = (version: string) => Number(version.split('.')[0])

/** Throws a Failure (65) when a dump is of another database, or of a newer server. */
export async function checkDump(server: Server, { path }: Source, dump: Dump, { fromDatabase }: RestoreRequest) {
  if (dump.database !== fromDatabase)
    throw refuse(
      `${path} is a dump of the database ${dump.database}, not of ${fromDatabase}`,
      `if it is the right one all the same: --from-database ${dump.database}`,
    )
  const version = await sql(server, maintenance(server), 'show server_version')
  if (major(dump.server) > major(version))
    throw refuse(
      `${path} was made of PostgreSQL ${dump.server}, and this server is ${version.split(' ')[0]}`,
      'a newer one cannot be restored into an older one',
    )
}

/**
 * Throws a Failure (74) when a server has no room for a dump: twice the data's text is what it takes with its indexes,
 * as a rule, and the log of writing it.
 */
export async function checkSpace(server: Server, { bytes }: Pick<Dump, 'bytes'>) {
  const folder = await sql(server, maintenance(server), 'show data_directory')
  const free = Number(
    (await captureInServer(server, inServer(server, 'df', '--output=avail', '--block-size=1', folder)))
      .split('\n')
      .at(-1),
  )
  if (free < 2 * bytes)
    throw refuse(
      `the data of postgres has ${size(free)} left, and a second database of about ${size(2 * bytes)} is to lie ` +
        'beside the first',
      'free some space there',
      EXIT.noSpace,
    )
}

const UNCOUNTED = `
select to_json(format('%I.%I', nspname, relname))
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'p' or relkind = 'r' and exists (select from pg_depend
  where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
`

/**
 * The tables of a dump without those of extensions, which bring rows of their own, and without partitioned ones, whose
 * rows are in their partitions.
 */
export async function ownTables(server: Server, database: string, { tables }: Dump) {
  const uncounted = new Set(await rows<string>(server, database, UNCOUNTED))
  return Object.fromEntries(Object.entries(tables).filter(([table]) => !uncounted.has(table)))
}

const checkTarget = async (server: Server, into: string | undefined) => {
  if (into === undefined) await checkSwappable(server)
  else if (await databaseExists(server, into))
    throw usage(`there is a database ${into} already`, 'name one that is not there yet')
}

// What a set's dump holds was found out by reading all of it when the set was made, and its sha256 says that it is the
// same still.
/** What a set says of a dump that is its own; undefined when no set says enough. */
export function knownDump({ known }: Pick<Source, 'known'>): Dump | undefined {
  if (known?.database.bytes === undefined) return undefined
  const { name, server, tables, bytes } = known.database
  return { database: name, made: known.made.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC'), server, tables, bytes }
}

/** The rows of each table now, and after a restore; nothing is there now when the database is missing. */
export async function countBoth(server: Server, dump: Dump) {
  if (!(await databaseExists(server, server.database))) return { now: undefined, after: dump.tables }
  const [now, after] = await together(() => [
    countRows(server, server.database),
    ownTables(server, server.database, dump),
  ])
  return { now, after }
}

// What the set says; where it says nothing, as it is in the live database; where that is missing, as PostgreSQL has it.
const pathOf = async (server: Server, { known, moment }: Source) =>
  known?.database.searchPath ??
  moment?.searchPath ??
  searchPathOf(server, (await databaseExists(server, server.database)) ? server.database : maintenance(server))

/** Proves a dump, and tells what restoring it would do. Throws a Failure that says why it cannot be. */
export async function planRestore(
  stack: Stack,
  server: Server,
  source: Source,
  staged: Staged,
  request: RestoreRequest,
  stamp: string,
): Promise<RestorePlan> {
  const { known } = source
  const former = databaseName(server.database, 'before', stamp)
  await checkTarget(server, request.into)
  if (request.files && !source.manifest?.objects)
    throw usage(
      `${source.path} has no uploaded files with it`,
      known?.objects
        ? `it is the dump of a set that has: name that, ${known.name}`
        : 'name a set that has: scripts/backup.ts --list',
    )
  await checkDigest(staged.path, source)
  const dump = knownDump(source) ?? (await readDump(server, source.path, staged.inside))
  if (source.moment) compareTables(source.moment.tables, dump)
  await checkDump(server, source, dump, request)
  await together(() => [checkRoles(server, staged.inside, request), checkSpace(server, dump)])
  const [{ now, after }, searchPath, users] = await together(() => [
    countBoth(server, dump),
    pathOf(server, source),
    request.into === undefined ? usersOf(stack, 'postgres') : Promise.resolve([]),
  ])
  return {
    source: source.moment ? targetText(source.moment.target) : source.path,
    moment: source.moment,
    origin: known && `${known.name}, made on ${known.host} by ${known.who}`,
    dump,
    host: hostname(),
    database: request.into ?? server.database,
    replaces: request.into === undefined,
    former: now && request.into === undefined ? former : undefined,
    now,
    after,
    searchPath,
    runs: undefined,
    restarts: users.map(({ name }) => name),
  }
}
