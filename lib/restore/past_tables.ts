// Tables by the names that a person types, in the past and in the live database.
import { databaseExists } from '../postgres/databases.ts'
import { option, psqlWith, rows, type Server, searchPathOf, sql } from '../postgres/server.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { capture } from '../system/run.ts'

export interface Table {
  schema: string
  name: string
  /** both, as PostgreSQL prints them (quoted where they must be) */
  quoted: string
  rows: number
}

// Only the name is looked up as the application does: a function of its own must not be taken for one of PostgreSQL's.
const FIND = String.raw`
begin;
select pg_catalog.set_config('search_path', :'path', true) \g /dev/null
select coalesce(pg_catalog.to_regclass(:'table')::pg_catalog.oid, '0') as oid \gset
rollback;
select format('select json_build_object(%L, %L, %L, %L, %L, %L, %L, (select count(*) from %s))',
  'schema', nspname, 'name', relname, 'quoted', format('%I.%I', nspname, relname), 'rows',
    format('%I.%I', nspname, relname))
from pg_class c join pg_namespace n on n.oid = relnamespace
where c.oid = :'oid' and relkind in ('r', 'p') and relpersistence <> 't'
\gexec
`

const LIST = `
select to_json(format('%I.%I', nspname, relname)) from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'p') and not relispartition and nspname not like 'pg\\_%' and nspname <> 'information_schema'
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
    order by nspname, relname
`

/** Runs SQL as the application's sessions see it, and gives what it prints. */
export async function sqlOfApp(
  server: Server,
  searchPath: string,
  text: string,
  variables: Record<string, string> = {},
) {
  const sets = Object.entries(variables).map(([name, value]) => `--set=${name}=${value}`)
  const command = psqlWith(server, [option('search_path', searchPath)], server.database, ...sets)
  return capture(command, { input: text, what: 'the query' })
}

/** The table of a name; undefined when there is none. */
export async function findTable(server: Server, searchPath: string, table: string): Promise<Table | undefined> {
  const found = await sql(server, server.database, FIND, { path: searchPath, table })
  return found === '' ? undefined : (JSON.parse(found) as Table)
}

/** The same. Throws a Failure (64) with the tables that there are. */
export async function tableNamed(server: Server, searchPath: string, table: string, where: string): Promise<Table> {
  const found = await findTable(server, searchPath, table)
  if (found) return found
  const all = await rows<string>(server, server.database, LIST)
  throw usage(
    `there is no table ${table} in ${where}`,
    `nothing was touched; there are: ${all.slice(0, 40).join(', ')}${all.length > 40 ? ', …' : ''}`,
  )
}

/** The search_path of the application's sessions in the live database. Throws a Failure (65) when that is missing. */
export async function livePath(live: Server) {
  if (await databaseExists(live, live.database)) return searchPathOf(live, live.database)
  throw new Failure(`there is no database ${live.database} to bring anything back into`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; restore all of it: without --tables',
  })
}
