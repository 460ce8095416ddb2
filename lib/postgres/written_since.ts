// How much was written to a database since a transaction.
import { rows, type Server } from './server.ts'

const COUNT = String.raw`
select pg_snapshot_xmax(pg_current_snapshot())::text::bigint - :'xid'::bigint as since \gset
select format('select json_build_object(''table'', %L, ''rows'', count(*)) from only %I.%I where age(xmin) <= %s',
  format('%I.%I', nspname, relname), nspname, relname, :'since')
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and relpersistence <> 't' and nspname not like 'pg\_%' and nspname <> 'information_schema'
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
\gexec
`

/** The rows of each table that were inserted or changed, by that transaction or a later one, and are there. */
export async function writtenSince(server: Server, database: string, xid: string): Promise<Record<string, number>> {
  const counted = await rows<{ table: string; rows: number }>(server, database, COUNT, { xid })
  return Object.fromEntries(counted.flatMap(({ table, rows }) => (rows > 0 ? [[table, rows]] : [])))
}
