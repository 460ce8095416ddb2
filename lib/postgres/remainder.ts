// What replication does not carry, brought at a moment at which nobody writes: sequences, large objects, and tables of
// which nothing tells what happened to their rows.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { Failure } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import { address, asData, asWriter, inServer, login, optionsOf, rows, type Server, sql } from './server.ts'

const SEQUENCES = `
select format('select json_build_object(''name'', %L, ''value'', last_value, ''called'', is_called) from %I.%I',
  format('%I.%I', nspname, relname), nspname, relname)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'S' and relpersistence <> 't' and nspname not like 'pg\\_%' and nspname <> 'information_schema' \\gexec
`
const SET_SEQUENCES = `
select setval(name::regclass, value, called)
  from given, json_to_recordset(text::json) as s(name text, value bigint, called boolean);
`

/** Sets the sequences of a database to where they are in another server. */
export async function copySequences(from: Server, to: Server, database: string) {
  const found = await rows(from, database, SEQUENCES)
  await sql(to, database, asData(JSON.stringify(found)) + SET_SEQUENCES)
}

const COLUMNS = `
select json_build_object('name', format('%I.%I', nspname, relname), 'owner', pg_get_userbyid(relowner), 'columns',
  string_agg(quote_ident(attname), ', ' order by attnum))
from pg_class c join pg_namespace n on n.oid = relnamespace join pg_attribute on attrelid = c.oid and attnum > 0
  and not attisdropped and attgenerated = ''
where relkind = 'r' and format('%I.%I', nspname, relname) = any (select json_array_elements_text(:'tables'))
  group by nspname, relname, relowner
`

const PSQL = ['psql', '--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1']

// For each table: who writes it, how his sessions are opened, what one server is to say, and what the other one is to
// hear.
const TABLES = `
set -euo pipefail
OLD=("\${@:2:$1}") NEW=("\${@:2+$1}")
next() { IFS= read -r -d '' "$1"; }
while next role && next options && next out && next into && next clear; do
  "\${OLD[@]}" --command="$out" </dev/null |
    PGUSER=$role PGOPTIONS="$options -c session_replication_role=replica" \\
      "\${NEW[@]}" --single-transaction --command="$clear" --command="$into"
done
`

/** Has a program inside the container of the new server reach the old one. */
export type Inside = (...command: string[]) => string[]

interface Rows {
  name: string
  owner: string
  columns: string
}

/**
 * Copies the rows of these tables once more; no trigger and no key looks at them. Checks of a table do, which are its
 * owner's, and so is the session.
 */
export async function copyTables(from: Server, to: Server, database: string, tables: string[], inside: Inside) {
  if (tables.length === 0) return
  const found = await rows<Rows>(from, database, COLUMNS, { tables: JSON.stringify(tables) })
  const writers = new Map<string, Server>()
  for (const { owner, name } of found)
    if (!writers.has(owner)) writers.set(owner, await asWriter({ ...to, database }, name))
  const texts = found.flatMap(({ name, owner, columns }) => {
    const writer = writers.get(owner) ?? to
    return [
      writer.user,
      optionsOf(writer),
      `copy (select ${columns} from only ${name}) to stdout`,
      `copy ${name} (${columns}) from stdin`,
      `delete from only ${name}`,
    ]
  })
  const input = texts.map(text => `${text}\0`).join('')
  const old = inside(...PSQL, `--dbname=${database}`)
  const { sessions: _, ...plain } = to
  const own = [...PSQL, `--dbname=${address(plain, database)}`]
  const command = inServer(to, 'bash', '-c', TABLES, 'tables', String(old.length), ...old, ...own)
  const others = [...new Set([...writers.values()].map(({ user }) => user))].filter(role => role !== to.user)
  const change = (words: string) => Promise.all(others.map(role => sql(to, database, words, { role })))
  await change('grant set on parameter session_replication_role to :"role"')
  try {
    await capture(command, { input, what: 'copying the tables without a key' })
  } finally {
    await change('revoke set on parameter session_replication_role from :"role"')
  }
}

/** What changes when a large object is written. Read as rows: who opens one takes the lock of a writer. */
export const LARGE_DIGEST = `
select md5(concat((select string_agg(format('%s %s %s', loid, pageno, md5(data)), ',' order by loid, pageno)
  from pg_largeobject),
  (select string_agg(format('%s %s %s', oid, lomowner::regrole, lomacl), ',' order by oid)
    from pg_largeobject_metadata)))
`

// The list of contents names them by these words, in all versions; what an object is stands before its name.
const LARGE = `
set -euo pipefail
rm -rf "$WORK" "$WORK.list"
"\${OLD[@]}" --format=custom --large-objects --exclude-table-data='*.*' --no-sync --file="$WORK"
pg_restore --list "$WORK" | grep -E '^[0-9]+; [0-9]+ [0-9]+ (BLOB|[A-Z ]+ - LARGE OBJECT)' >"$WORK.list" || true
"\${NEW[@]}" --command='select lo_unlink(oid) from pg_largeobject_metadata' >/dev/null
pg_restore --single-transaction --use-list="$WORK.list" "\${LOGIN[@]}" "$WORK"
rm -f "$WORK" "$WORK.list"
`

const areSame = async (from: Server, to: Server, database: string) => {
  const [had, has] = await Promise.all([from, to].map(server => sql(server, database, LARGE_DIGEST)))
  return had === has
}

/** Copies the large objects once more, when they differ. */
export async function copyLargeObjects(from: Server, to: Server, database: string, work: string, inside: Inside) {
  const old = inside('pg_dump', `--dbname=${database}`)
  const own = [...PSQL, ...login(to, database)]
  const text = `WORK=$1 OLD=("\${@:3:$2}") NEW=("\${@:3+$2}") LOGIN=("\${@: -2}")\n${LARGE}`
  const words = [work, String(old.length), ...old, ...own]
  if (await areSame(from, to, database)) return
  await capture(inServer(to, 'bash', '-c', text, 'large', ...words), { what: 'copying the large objects' })
}

/** The tables that they lie in. */
export const LARGE_OBJECTS = ['pg_catalog.pg_largeobject', 'pg_catalog.pg_largeobject_metadata']

/** Throws a Failure when two servers have not the same large objects. */
export async function proveLargeObjects(from: Server, to: Server, database: string) {
  if (await areSame(from, to, database)) return
  throw new Failure('somebody goes on writing large objects', {
    hint: 'the old server goes on; run it again when less is going on',
  })
}

/** What changes when the structure of a database changes. */
export function structureOf(server: Server, database: string) {
  return sql(server, database, readFileSync(join(root, 'postgres', 'structure.sql'), 'utf8'))
}
