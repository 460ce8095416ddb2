// What an upgrade of PostgreSQL would do, found out while the site is up: the new server is there by then, empty, with
// the roles and the databases that it is to have.
// Long, since each thing that would stand in the way of an upgrade is looked for here.
import { usersOf } from '../docker/restart.ts'
import type { Stack } from '../docker/stack.ts'
import { makeDatabaseLike } from '../postgres/copy_database.ts'
import { admin } from '../postgres/databases.ts'
import { listTables, needsRestart, obstacles, type Tables } from '../postgres/replication.ts'
import { copyRoles } from '../postgres/saved_roles.ts'
import { majorOf } from '../postgres/server_image.ts'
import { inServer, rows, type Server, sql } from '../postgres/server.ts'
import { type ClusterChange, makeVolume, noteBeginning, readUpgradeNote, volumeName } from '../postgres/upgrade_note.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { size } from '../system/format.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import type { DataWork } from '../system/work_lock.ts'
import { proveSettable, serverUnder } from './images.ts'
import { fromThere, startNewServer } from './new_server.ts'
import { pgdataOf } from './switch.ts'

/** The oldest version that is upgraded. */
const OLDEST = 14

export interface UpgradePlan {
  from: { image: string; version: number; volume: string }
  to: { image: string; version: number; volume: string }
  /** of the site's database */
  bytes: number
  /** by replication the old server is written to until the switch; else not from the beginning on */
  way: 'replication' | 'window'
  /** why it is not replication, in words */
  obstacles: string[]
  /** of its log, in bytes, that the old server keeps at most for what the new one has not fetched */
  keeps: number
  /** the old server is started anew in the beginning */
  restart: boolean
  /** the tables that are copied once more at the switch, as SQL names them */
  copiedLast: string[]
  /** the other databases that come along */
  others: string[]
  /** those that stay in the old volume: what restores put aside, what nobody can connect to, what is in "postgres" */
  left: string[]
  /** settings of the old server that files of its own have, and the new one will not */
  changed: string[]
  /** the instances that are started anew */
  restarts: string[]
}

export interface UpgradeRequest {
  /** without replication */
  window: boolean
}

/** What carrying it out needs besides. */
export interface Prepared {
  plan: UpgradePlan
  change: ClusterChange
  tables: Tables
  server: Server
}

/** What an upgrade works with. */
export interface UpgradeWork extends Prepared {
  stack: Stack
  settings: Settings
  /** the old server */
  old: Server
  data: DataWork
}

/** The change that is to be made: undefined when the server has the version of its image already. */
export async function changeFor(settings: Settings, own: { image: string; volume: string; version: number }) {
  // What somebody has set is meant, unless it is what the data are served by; a former try may have taken it out.
  const newer = async (image = '') => (image !== '' && (await majorOf(image)) > own.version ? image : '')
  const named = (await newer(settings.POSTGRES_IMAGE)) || (await newer(readUpgradeNote().wish))
  const target = await serverUnder({ POSTGRES_IMAGE: named })
  const version = await majorOf(target.image)
  if (own.version === version) return undefined
  if (own.version > version)
    throw badConfig(
      `${target.image} is PostgreSQL ${version}, and the data are of ${own.version}`,
      'nothing was touched; there is no way back to an older version',
    )
  if (own.version < OLDEST)
    throw badConfig(
      `the data are of PostgreSQL ${own.version}, and only ${OLDEST} and later is upgraded`,
      'nothing was touched; restore a dump of it: docs/restoring.md',
    )
  const since = new Date()
  const volume = volumeName(settings.COMPOSE_PROJECT_NAME, version, since)
  const former = { ...own, settings: { POSTGRES_IMAGE: own.image, POSTGRES_VOLUME: own.volume } }
  const next = { image: target.image, volume, version, settings: { POSTGRES_IMAGE: named, POSTGRES_VOLUME: volume } }
  await proveSettable(former)
  return { since: since.toISOString(), former, next } satisfies ClusterChange
}

const DATABASES = `
select json_build_object('name', datname, 'kept', not datallowconn or datistemplate or datname = 'postgres'
  or starts_with(datname, :'live' || '_before_') or starts_with(datname, :'live' || '_restoring_'))
from pg_database where datname not in ('template0', 'template1', :'live') order by datname
`

const EXTENSIONS = 'select to_json(extname) from pg_extension'
const AVAILABLE = 'select to_json(name) from pg_available_extensions'

const checkExtensions = async (server: Server, next: Server, databases: string[]) => {
  const there = new Set(await rows<string>(next, 'postgres', AVAILABLE))
  for (const database of databases) {
    const missing = (await rows<string>(server, database, EXTENSIONS)).filter(name => !there.has(name))
    if (missing.length > 0)
      throw badConfig(
        `${next.image} has no extension ${missing.join(', ')}, which ${database} needs`,
        'nothing was touched; take an image that has it (POSTGRES_IMAGE, docker-compose.yml)',
      )
  }
}

// What a server notes of columns beside what people set: since November 2026 "pg_attver". Its own pg_dump leaves that
// out.
const NOTED = `
select distinct to_jsonb(split_part(o, '=', 1)) from pg_attribute, unnest(attoptions) o
where attrelid >= 16384 and split_part(o, '=', 1) not in ('n_distinct', 'n_distinct_inherited')
`

/**
 * Of what a server notes of its columns that which stands in the SQL of a dump all the same, where no server takes it.
 */
export function dumpedNotes(noted: string[], schema: string) {
  const lines = schema.split('\n').filter(line => / ALTER COLUMN .* SET \(.*\);$/.test(line))
  return noted.filter(name => lines.some(line => line.includes(`${name}=`)))
}

/**
 * Throws a Failure (78) when the new image is of an older release than the server, whose columns its pg_dump misreads.
 */
const checkRelease = async (server: Server, next: Server, databases: string[]) => {
  for (const name of databases) {
    const noted = await rows<string>(server, name, NOTED)
    if (noted.length === 0) continue
    const words = [
      '--schema-only',
      '--section=pre-data',
      '--no-password',
      '--lock-wait-timeout=60s',
      `--dbname=${name}`,
    ]
    const schema = await capture(inServer(next, ...fromThere(server, 'pg_dump', ...words)), { what: `reading ${name}` })
    const misread = dumpedNotes(noted, schema)
    if (misread.length > 0)
      throw badConfig(
        `${next.image} is of an older release than ${server.image}: its pg_dump does not know what the columns of ` +
          `${name} have (${misread.join(', ')})`,
        'nothing was touched; take a newer image of the same PostgreSQL (docker pull, or POSTGRES_IMAGE in .env), ' +
          'then run it again',
      )
  }
}

/** The data, their indexes and the dump lie beside the old ones. */
const checkRoom = async (next: Server, bytes: number) => {
  const lines = await capture(inServer(next, 'df', '--output=avail', '--block-size=1', '/var/lib/postgresql'))
  const free = Number(lines.split('\n').at(-1))
  if (free < 1.5 * bytes)
    throw new Failure(`there are ${size(free)} left for the new volume, and it needs about ${size(1.5 * bytes)}`, {
      exitCode: EXIT.noSpace,
      hint: 'nothing was touched; free some space',
    })
  return free
}

const CHANGED = `
select to_json(format('%s = %s', name, setting)) from pg_file_settings
  where sourcefile = current_setting('data_directory') || '/postgresql.auto.conf'
`

/** Starts the new server on a volume of its own. */
const openNewServer = async (stack: Stack, settings: Settings, server: Server, change: ClusterChange) => {
  const { next } = change
  noteBeginning(change)
  await makeVolume(stack.project, next.volume)
  return startNewServer(settings, { ...next, pgdata: await pgdataOf(next) }, server)
}

/** Proves that the new server can have all that the old one has, and gives it the roles and the empty databases. */
const prepare = async (server: Server, fresh: Server) => {
  const databases = await rows<{ name: string; kept: boolean }>(server, 'template1', DATABASES, {
    live: server.database,
  })
  const namesOf = (wanted: boolean) => databases.filter(({ kept }) => kept === wanted).map(({ name }) => name)
  const others = namesOf(false)
  const { replicated, others: keyless } = await listTables(server, 'postgres')
  const left = namesOf(true).filter(name => name !== 'postgres' || replicated.length + keyless.length > 0)
  await checkExtensions(server, fresh, [server.database, ...others])
  const free = await checkRoom(fresh, Number(await admin(server, 'select sum(pg_database_size(oid)) from pg_database')))
  const complaints = await copyRoles(server, fresh)
  if (complaints.length > 0)
    throw new Failure(`not all roles can be made: ${complaints.join('; ')}`, { hint: 'nothing was touched' })
  for (const name of [server.database, ...others]) await makeDatabaseLike(fresh, server, name)
  await checkRelease(server, fresh, [server.database, ...others])
  return { others, left, keeps: Math.floor(free / 4) }
}

const publicPart = ({ image, version, volume }: ClusterChange['next']) => ({ image, version, volume })

/** Starts the new server, and plans. Nothing of the old one is changed. */
export async function planUpgrade(
  stack: Stack,
  settings: Settings,
  server: Server,
  change: ClusterChange,
  data: DataWork,
  { window }: UpgradeRequest,
): Promise<Prepared> {
  data.step('prove', `a new server with PostgreSQL ${change.next.version}, and what it will have`)
  const fresh = await openNewServer(stack, settings, server, change)
  const prepared = await prepare(server, fresh)
  const tables = await listTables(server, server.database)
  const against = window ? ['--window'] : await obstacles(server)
  const way = against.length > 0 ? 'window' : 'replication'
  const plan: UpgradePlan = {
    from: publicPart(change.former),
    to: publicPart(change.next),
    ...prepared,
    bytes: Number(await sql(server, server.database, 'select pg_database_size(current_database())')),
    way,
    obstacles: against,
    restart: way === 'replication' && (await needsRestart(server)),
    copiedLast: way === 'replication' ? tables.others : [],
    changed: await rows<string>(server, server.database, CHANGED),
    restarts: (await usersOf(stack, 'postgres')).map(({ name }) => name),
  }
  return { change, tables, server: fresh, plan }
}
