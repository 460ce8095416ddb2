// Single tables of the past, laid beside the live ones: with their rows, and without keys, indexes and triggers.
// Nothing is replaced.
import { join } from 'node:path'
import type { Stack } from '../docker/stack.ts'
import { compareRows } from '../postgres/compare_rows.ts'
import { databaseStamp } from '../postgres/databases.ts'
import { openDumpFolder } from '../postgres/dumps_folder.ts'
import { handIn } from '../postgres/hand_in.ts'
import { address, asWriter, inSession, login, type Server, searchPathOf, sql } from '../postgres/server.ts'
import { countRows } from '../postgres/snapshot.ts'
import { audit } from '../system/audit.ts'
import { usage } from '../system/errors.ts'
import { writeOutput } from '../system/large_files.ts'
import { capture } from '../system/run.ts'
import { type Planned, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { openPastOf, type PastRequest } from './open_past.ts'
import { findTable, livePath, type Table, tableNamed } from './past_tables.ts'
import { beginWork, type RestoreWork } from './work.ts'

export interface TablesPlan {
  /** the moment or the set, in words */
  from: string
  database: string
  tables: { table: string; copy: string; rows: number; now: number | undefined }[]
}

export interface TablesResult {
  result: 'brought'
  tables: { copy: string; rows: number }[]
  seconds: Record<string, number>
}

/** A table, and the one that it becomes. */
interface Copy {
  table: Table
  name: string
  quoted: string
  now: number | undefined
}

/** "meetings_at_20261125t133210z", of 14:32:10 in Paris. Throws a Failure (64) when PostgreSQL would cut it. */
export function copyName(table: string, at: Date) {
  const name = `${table}_at_${databaseStamp(at)}`
  if (Buffer.byteLength(name) <= 63) return name
  throw usage(
    `${name} is too long for the name of a table: PostgreSQL takes 63 bytes`,
    'psql.ts with --at looks into it, and copies what is wanted',
  )
}

const QUOTE = `select format('%I.%I', :'schema', :'name')`

const planCopy = async (past: Server, live: Server, paths: { past: string; live: string }, name: string, at: Date) => {
  const table = await tableNamed(past, paths.past, name, 'that past')
  const copy = copyName(table.name, at)
  const quoted = await sql(live, live.database, QUOTE, { schema: table.schema, name: copy })
  if (await findTable(live, paths.live, quoted))
    throw usage(`there is a table ${quoted} already`, `nothing was touched; drop it first: scripts/psql.ts`)
  const now = await findTable(live, paths.live, table.quoted)
  return { table, name: copy, quoted, now: now?.rows }
}

// As plain columns: what was generated then is a value now, and refers to nothing.
const COPY = `create table :"schema".:"copy" as table :"schema".:"name"`
const COMMENT = String.raw`
select format('alter table %I.%I owner to %I', :'schema', :'copy',
  pg_get_userbyid(coalesce((select relowner from pg_class where oid = to_regclass(:'table')),
    current_user::regrole::oid))) \gexec
comment on table :"schema".:"copy" is :'words';
`

const copyAll = async (work: RestoreWork, past: Server, copies: Copy[], from: string) => {
  const { server: live, data } = work
  const folder = openDumpFolder('restoring')
  const scope = new Scope()
  scope.use(folder)
  try {
    data.step('dump', copies.map(({ table }) => table.quoted).join(', '))
    for (const { table, name } of copies)
      await sql(past, past.database, COPY, { schema: table.schema, name: table.name, copy: name })
    const file = join(folder.path, 'tables.dump')
    const wanted = copies.map(({ table, name }) => `--table="${table.schema}"."${name}"`)
    const dump = ['pg_dump', '--format=custom', '--compress=zstd:1', ...wanted, ...login(past, past.database)]
    await writeOutput(inSession(past, [], ...dump), file, { what: 'pg_dump' })
    const { inside, remove } = await handIn(live, file)
    scope.use({ dispose: remove })
    data.step('restore', copies.map(({ quoted }) => quoted).join(', '))
    const restore = ['pg_restore', '--single-transaction', '--exit-on-error', '--no-owner', '--no-acl']
    // Types of the application may have checks, which run.
    const writer = await asWriter(live)
    const to = [`--username=${writer.user}`, `--dbname=${address(writer, live.database)}`]
    const hint =
      `nothing was touched: it is all of them or none, as ${writer.user}. A type that is gone, a schema in which ` +
      'that role may make no table? psql.ts with --at looks into it'
    await capture(inSession(writer, [], ...restore, ...to, inside), { what: 'pg_restore', hint })
    for (const { table, name } of copies)
      await sql(live, live.database, COMMENT, {
        schema: table.schema,
        copy: name,
        table: table.quoted,
        words: `${table.quoted} of ${from}, brought by backup_restore.ts`,
      })
  } finally {
    await scope.dispose()
  }
}

/**
 * Opens the past, and plans which tables are laid beside the live ones. Throws a Failure: 64 for one that is not
 * there.
 */
export async function openTables(
  stack: Stack,
  settings: Settings,
  request: PastRequest & { tables: string[] },
  wait: boolean,
): Promise<Planned<TablesPlan, TablesResult>> {
  const scope = new Scope()
  try {
    const work = scope.use(await beginWork(stack, settings, wait))
    const { server: live, data } = work
    const past = scope.use(await openPastOf(stack.project, settings, request, data.step))
    const paths = { past: await searchPathOf(past.server, past.server.database), live: await livePath(live) }
    const copies: Copy[] = []
    for (const name of new Set(request.tables)) copies.push(await planCopy(past.server, live, paths, name, past.at))
    const execute = async () => {
      audit('restore of tables', { from: past.what, database: live.database, tables: copies.map(it => it.quoted) })
      await copyAll(work, past.server, copies, past.what)
      data.step('check', 'the rows of each table with those of then')
      const expected = Object.fromEntries(copies.map(({ table, quoted }) => [quoted, table.rows]))
      const words = { message: () => 'what was brought is not what was there', found: 'brought', expected: 'then' }
      compareRows(expected, await countRows(live, live.database), words)
      const tables = copies.map(({ table, quoted }) => ({ copy: quoted, rows: table.rows }))
      return { result: 'brought' as const, tables, seconds: data.seconds() }
    }
    const tables = copies.map(({ table, quoted, now }) => ({
      table: table.quoted,
      copy: quoted,
      rows: table.rows,
      now,
    }))
    return { plan: { from: past.what, database: live.database, tables }, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
