// What the database has at one moment, and the dump of the very same moment.
import { Failure } from '../system/errors.ts'
import { psql, rows, searchPathQuery, type Server } from './server.ts'
import { hold } from '../system/run.ts'

export interface Facts {
  /** PostgreSQL's version, "18.1" */
  server: string
  /** the same as a number, 180001 */
  number: number
  /** of its texts, as the server names it */
  encoding: string
  extensions: Record<string, string>
  /** of the application's sessions */
  searchPath: string
  bytes: number
}

export interface Snapshot {
  id: string
  release: () => Promise<void>
}

const OPEN = 'begin isolation level repeatable read, read only'

/**
 * Opens a snapshot that pg_dump and others can read by, until it is released or this process ends. Throws a Failure
 * when the server does not answer.
 */
export async function openSnapshot(server: Server): Promise<Snapshot> {
  // psql sleeps in \! until its standard input is closed, and the transaction with it.
  const words = [
    OPEN,
    'set local idle_in_transaction_session_timeout = 0',
    'select pg_export_snapshot()',
    String.raw`\! cat`,
  ]
  const { release, stdout, stderr } = await hold(
    psql(server, server.database, ...words.flatMap(word => ['--command', word])),
  )
  if (release) return { id: stdout, release }
  throw new Failure(`the database ${server.database} gave no snapshot: ${stderr.trim()}`, {
    hint: 'is postgres healthy? scripts/status.ts, scripts/logs.ts postgres',
  })
}

// ONLY: the rows of a partition or of an inheriting table are its own, as in a dump. Tables of an extension come back
// with the extension.
const COUNT = `
${OPEN};
set transaction snapshot :'snapshot';
set local lock_timeout = '60s';
select format(
  'select json_build_object(''table'', %L, ''rows'', count(*)) from only %I.%I', format('%I.%I', nspname, relname),
    nspname, relname)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and relpersistence <> 't' and nspname not like 'pg\\_%' and nspname <> 'information_schema'
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
order by relpages desc
\\gexec
`

/** The rows of each table of a database, in a snapshot; without one as they are now. */
export async function countRows(server: Server, database: string, snapshot?: string) {
  const text = snapshot === undefined ? COUNT.replace(/^set transaction.*$/m, '') : COUNT
  const counted = await rows<{ table: string; rows: number }>(
    server,
    database,
    text,
    snapshot === undefined ? {} : { snapshot },
  )
  return Object.fromEntries(counted.map(({ table, rows }) => [table, rows]))
}

const factsQuery = () => `
select json_build_object(
  'server', split_part(current_setting('server_version'), ' ', 1),
  'number', current_setting('server_version_num')::int,
  'encoding', current_setting('server_encoding'),
  'searchPath', (${searchPathQuery()}),
  'extensions', (select json_object_agg(extname, extversion order by extname) from pg_extension),
  'bytes', pg_database_size(current_database()))
`

export async function readFacts(server: Server): Promise<Facts> {
  const [facts] = await rows<Facts>(server, server.database, factsQuery())
  if (facts) return facts
  throw new Failure(`the database ${server.database} told nothing about itself`)
}
