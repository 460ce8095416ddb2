// The database server of the stack: the programs that are run in its container, always without a terminal, so that data
// arrives as it was sent.
// Long, since every way to call psql and its like is here: what they inherit is shut out once.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { docker } from '../docker/commands.ts'
import { root } from '../system/checkout.ts'
import type { Settings } from '../system/settings.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { listInstances } from '../docker/containers.ts'
import { attemptIn } from '../docker/run_in.ts'
import { failureOf, type RunOptions } from '../system/run.ts'
import { say } from '../system/progress.ts'

/** A PostgreSQL server in a container, and the database of the site in it. */
export interface Server {
  /** the container */
  id: string
  name: string
  image: string
  /** the superuser that the scripts log in as */
  user: string
  /** the role that phoenix logs in as: the same, or one of its own */
  app: string
  database: string
  /** the engine that it runs on (RunOptions); absent for that of this machine */
  engine?: string | undefined
  /** how the sessions of the scripts are opened, once that is known */
  sessions?: Sessions
}

interface Sessions {
  /** PGOPTIONS: what is set for a role or a database does not hold in them */
  options: string
  /** they take connections that are kept for replication, which no application can take */
  reserved: boolean
  /** further ones, for SQL that only reads catalogs and counts rows */
  reading: string
}

/** How many processes restore or analyze at once. */
export const JOBS = Math.min(4, availableParallelism())

/**
 * Whom programs in the server's container run as: never root, so that what a container's own user has put there gets no
 * more rights than he has.
 */
export const ACCOUNT = 'postgres'

// What its programs say is read. LANGUAGE comes before LC_ALL in every locale but C, whose characters are bytes.
const ENGLISH = ['LC_ALL=C.UTF-8', 'LANGUAGE=C'].flatMap(variable => ['--env', variable])

/**
 * A command in the server's container; its standard input is handed on. The container trusts who connects from inside:
 * no password is needed.
 */
export function inServer({ id }: Pick<Server, 'id'>, ...command: string[]) {
  return docker('exec', '--interactive', '--user', ACCOUNT, ...ENGLISH, id, ...command)
}

/**
 * Runs a command of `inServer` that is soon answered, through a shell there that stays open: a `docker exec` for each
 * of the questions of a restore takes longer than all of their answers.
 */
export function attemptInServer(
  server: Pick<Server, 'id' | 'engine'>,
  command: string[],
  options: Pick<RunOptions, 'input'> = {},
) {
  const place = inServer(server)
  return attemptIn(place, command.slice(place.length), { ...options, engine: server.engine })
}

/** The same; gives its stdout without the last newline. Throws a Failure when it does not end with 0. */
export async function captureInServer(
  server: Pick<Server, 'id' | 'engine'>,
  command: string[],
  options: Pick<RunOptions, 'input' | 'what' | 'hint'> = {},
) {
  const outcome = await attemptInServer(server, command, options)
  if (outcome.code !== 0) throw failureOf(command, outcome, options)
  return outcome.stdout.replace(/\n$/, '')
}

/** The roles and the database of the settings. */
export function loginsOf({
  POSTGRES_USER: user,
  POSTGRES_APP_USER: app,
  POSTGRES_DB: database,
}: Settings): Pick<Server, 'user' | 'app' | 'database'> {
  return { user, app: app ?? user, database }
}

/** The stack's running server. Throws a Failure (69) when there is none. */
export async function findServer(project: string, settings: Settings): Promise<Server> {
  const instance = (await listInstances(project, 'postgres')).find(({ running, oneOff }) => running && !oneOff)
  if (instance) return { id: instance.id, name: instance.name, image: instance.image, ...loginsOf(settings) }
  throw new Failure('postgres is not running', {
    exitCode: EXIT.unreachable,
    hint: 'start it (docker compose up -d postgres), or look at its log: scripts/logs.ts postgres',
  })
}

// Enough to ask for the rest, whatever is set.
const SAFE = [
  'role=none',
  'session_preload_libraries=',
  'local_preload_libraries=',
  'standard_conforming_strings=on',
  'statement_timeout=0',
  'lc_messages=C',
]
// No function of the site's own is taken for one of PostgreSQL's. Not for pg_restore: scripts of extensions read there
// in which schemas the others are.
const CATALOG = '-c search_path=pg_catalog'
// Whoever owns a table can have put a view in its place since its name was read, and a view calls functions with the
// rights of who reads it. Servers know this since August 2024.
const TABLES_ALONE = `${CATALOG} -c restrict_nonsystem_relation_kind=view,foreign-table`
const UNASKED: Sessions = {
  options: SAFE.map(setting => `-c ${setting}`).join(' '),
  reserved: false,
  reading: CATALOG,
}

/** How sessions of it are opened. */
export function sessionsOf(server: Server) {
  return server.sessions ?? UNASKED
}

/** The words of PGOPTIONS by which sessions of it are opened. */
export function optionsOf(server: Server) {
  return sessionsOf(server).options
}

/** A program in the server's container that opens sessions, with further words of PGOPTIONS. */
export function inSession(server: Server, options: string[], ...command: string[]) {
  return inServer(
    server,
    'env',
    'PGCLIENTENCODING=UTF8',
    `PGOPTIONS=${[optionsOf(server), ...options].join(' ')}`,
    ...command,
  )
}

/** A setting as a word of PGOPTIONS. */
export function option(name: string, value: string) {
  return `-c ${name}=${value.replaceAll(/[\\\s]/g, String.raw`\$&`)}`
}

const quoted = (text: string) => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`

/** A database as programs of PostgreSQL's are told it. */
export function address({ sessions }: Server, database: string) {
  return `dbname=${quoted(database)}${sessions?.reserved ? ' replication=database' : ''}`
}

/** The words by which they connect to it. */
export function login(server: Server, database: string) {
  return [`--username=${server.user}`, `--dbname=${address(server, database)}`]
}

/** psql for programs: no settings of a person, no decoration, an end at the first error. */
export function psql(server: Server, database: string, ...words: string[]) {
  return psqlWith(server, [sessionsOf(server).reading], database, ...words)
}

/** The same with further words of PGOPTIONS, for SQL that is a person's. */
export function psqlWith(server: Server, options: string[], database: string, ...words: string[]) {
  return inSession(
    server,
    options,
    'psql',
    '--no-psqlrc',
    '--quiet',
    '--no-align',
    '--tuples-only',
    '--set=ON_ERROR_STOP=1',
    ...login(server, database),
    ...words,
  )
}

/**
 * Runs SQL and gives what it prints, without the last newline. A variable is used in the SQL as :"name" (an identifier)
 * or :'name' (a text): psql quotes it. Throws a Failure with the server's words.
 */
export function sql(server: Server, database: string, text: string, variables: Record<string, string> = {}) {
  const sets = Object.entries(variables).map(([name, value]) => `--set=${name}=${value}`)
  return captureInServer(server, psql(server, database, ...sets), { input: text, what: 'the query' })
}

/** The rows of a query, each as an object: one JSON document a line (select json_build_object(…) or row_to_json(…)). */
export async function rows<Row>(
  server: Server,
  database: string,
  text: string,
  variables?: Record<string, string>,
): Promise<Row[]> {
  return (await sql(server, database, text, variables))
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Row)
}

/** SQL that makes the table "given" with a text. In base64 that can be nothing but data, whoever reads it. */
export function asData(text: string) {
  return (
    `create temp table given as select convert_from(decode('${Buffer.from(text).toString('base64')}', 'base64'), ` +
    `'UTF8') as text;\n`
  )
}

const queryIn = (file: string) => readFileSync(join(root, 'postgres', file), 'utf8')

/** SQL that tells the search_path of the application's sessions, in the database that it runs in. */
export function searchPathQuery() {
  return queryIn('search_path.sql')
}

export function searchPathOf(server: Server, database: string) {
  return sql(server, database, searchPathQuery())
}

/** The most sessions that a backup or a restore has at once. */
const NEEDED = JOBS + 4

interface Connections {
  most: number
  taken: number
  /** who has most of them */
  by: string
  /** whether the server can keep its sessions from views */
  restricts: boolean
}

const CONNECTIONS = `
select json_build_object('most', current_setting('max_connections')::int, 'taken', coalesce(sum(n), 0),
  'restricts', exists (select from pg_settings where name = 'restrict_nonsystem_relation_kind'),
  'by', (array_agg(format('%s by %s%s', n, usename, ' of ' || host(client_addr)) order by n desc))[1])
from (select usename, client_addr, count(*) as n from pg_stat_activity
  where backend_type = 'client backend' and pid <> pg_backend_pid() group by 1, 2) as it;
`

const readSessions = async (server: Server, reserved: boolean) => {
  const command = psql({ ...server, sessions: { ...UNASKED, reserved } }, 'template1')
  const outcome = await attemptInServer(server, command, { input: queryIn('session_settings.sql') + CONNECTIONS })
  const [options = '', text = ''] = outcome.stdout.split('\n')
  if (outcome.code !== 0) return outcome
  const connections = JSON.parse(text) as Connections
  const reading = connections.restricts ? TABLES_ALONE : CATALOG
  return { sessions: { options, reserved, reading }, connections }
}

/**
 * The same server, with sessions that work whatever is set for roles and databases, and however many connections the
 * application takes. Throws a Failure (69) when the server lets nobody in.
 */
export async function openSessions(server: Server): Promise<Server> {
  const plain = await readSessions(server, false)
  if ('sessions' in plain && plain.connections.most - plain.connections.taken >= NEEDED)
    return { ...server, sessions: plain.sessions }
  const reserved = await readSessions(server, true)
  if ('sessions' in reserved) {
    const { most, taken, by } = reserved.connections
    say.warn(
      `${taken} of the ${most} connections of ${server.name} are taken (${by}): the ones for replication are ` +
        'used. Which app keeps them open? scripts/status.ts, scripts/logs.ts',
    )
    return { ...server, sessions: reserved.sessions }
  }
  if ('sessions' in plain) return { ...server, sessions: plain.sessions }
  throw failureOf([], plain, {
    what: `opening a session of ${server.name}`,
    exitCode: EXIT.unreachable,
    hint: 'what does its log say? scripts/logs.ts postgres',
  })
}

const WRITER = `
select coalesce((select pg_get_userbyid(relowner) from pg_class join pg_roles on pg_roles.oid = relowner
  where pg_class.oid = to_regclass(nullif(:'table', '')) and rolcanlogin and not rolsuper), :'app')
`

/**
 * The same server with sessions of the role that writes to a table as the application does: its owner, or the role that
 * phoenix logs in as. What runs because they write (triggers, checks, defaults, casts) is the application's, and has no
 * more rights than that: from a superuser's session, even one that has set another role, it could get back to his.
 */
export async function asWriter(server: Server, table = ''): Promise<Server> {
  const user = await sql(server, server.database, WRITER, { table, app: server.app })
  if (user === server.user) return server
  const options = await sql(server, server.database, queryIn('session_settings.sql'), { role: user })
  return { ...server, user, sessions: { options, reserved: false, reading: CATALOG } }
}
