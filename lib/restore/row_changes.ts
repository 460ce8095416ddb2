// Rows that are put into a live table or taken out of it: what that changes, in one transaction. Values travel as texts
// in JSON, in base64: they can be nothing but data. Names are quoted by the server.
// Long, since the SQL of both directions stands side by side.
import { asData, type Server } from '../postgres/server.ts'
import { checkInterruption } from '../system/signals.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { SERVER_ERROR } from '../system/run.ts'
import { sqlOfApp } from './past_tables.ts'

/** The values of a row's columns as PostgreSQL writes them. */
export type Row = (string | null)[]

/** What happens to one row. Without a before it comes to be, without an after it goes. */
export interface RowChange {
  key: Row
  before: Row | null
  after: Row | null
}

/** A table whose rows can be told apart. All names are quoted where they must be. */
export interface RowTable {
  quoted: string
  columns: string[]
  /** of the columns those of the primary key */
  key: string[]
  /** of the columns those that a change sets: neither of the key nor given by the server alone */
  settable: string[]
}

/** Rows that are to be there; and rows that must be there as they are named, which go unless they are wanted too. */
export interface Wanted {
  wanted: Row[]
  expected: Row[]
}

/** Of every session the same, so that a text means the same in each. */
export const FORMS = `set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';
set timezone = 'UTC'; set bytea_output = 'hex'; set extra_float_digits = 1;
`

const texts = (columns: string[], of: string) => columns.map(column => `${of}.${column}::text`).join(', ')
// Not json_build_array, which takes a hundred values at most.
const rowOf = (columns: string[], of: string) => `pg_catalog.to_json(array[${texts(columns, of)}])`
const differ = (columns: string[], a: string, b: string) =>
  `row(${texts(columns, a)}) is distinct from row(${texts(columns, b)})`
const same = ({ key }: RowTable, a: string, b: string) => key.map(it => `${a}.${it} = ${b}.${it}`).join(' and ')

// A temporary table of rows, with the types of the live one. A cast to "character" or "bit" cuts to one; -1 names the
// type without a length, and what is too long is an error where it is put in.
const load = (name: string, { quoted, columns }: RowTable, rows: Row[]) => String.raw`
${asData(JSON.stringify(rows))}
create temp table ${name} on commit drop as select ${columns.join(', ')} from ${quoted} with no data;
select pg_catalog.format('insert into ${name} select %s from given, pg_catalog.jsonb_array_elements(text::jsonb) as it',
  pg_catalog.string_agg(pg_catalog.format('(it ->> %s)::%s', attnum - 1, pg_catalog.format_type(atttypid, -1)), ', '
    order by attnum))
from pg_catalog.pg_attribute where attrelid = 'pg_temp.${name}'::regclass::oid and attnum > 0
\gexec
drop table given;
`

const upsert = ({ quoted, columns, key, settable }: RowTable) => {
  const all = columns.join(', ')
  const sets = settable.map(it => `${it} = excluded.${it}`).join(', ')
  const change = settable.length === 0 ? 'nothing' : `update set ${sets} where ${differ(settable, 'it', 'excluded')}`
  return (
    `insert into ${quoted} as it (${all}) overriding system value select ${all} from avril_wanted on conflict ` +
    `(${key.join(', ')}) do ${change};`
  )
}

// With a digest it is for good, when nothing else would be changed than what was shown.
const changeSql = (table: RowTable, { wanted, expected }: Wanted) => {
  const { quoted, columns, key } = table
  const [first = ''] = key
  return String.raw`${FORMS}
begin;
set local lock_timeout = '10s';
-- A policy that hides rows is an error, and not fewer rows.
set local row_security = off;
${load('avril_wanted', table, wanted)}
${load('avril_expected', table, expected)}
create temp table avril_keys on commit drop as
  select ${key.join(', ')} from avril_wanted
  union select ${key.join(', ')} from avril_expected;
create temp table avril_former on commit drop as
  select ${columns.map(it => `it.${it}`).join(', ')} from ${quoted} as it
  where exists (select from avril_keys where ${same(table, 'avril_keys', 'it')}) for update of it;
create temp table avril_stale on commit drop as
  select ${rowOf(key, 'avril_expected')} as key
  from avril_expected left join avril_former on ${same(table, 'avril_former', 'avril_expected')}
  where avril_former.${first} is null or ${differ(columns, 'avril_former', 'avril_expected')};
select pg_catalog.json_build_object('stale', key) from avril_stale;
delete from ${quoted} as it using avril_expected where ${same(table, 'it', 'avril_expected')}
  and not exists (select from avril_wanted where ${same(table, 'avril_wanted', 'avril_expected')});
delete from avril_wanted using avril_former where ${same(table, 'avril_wanted', 'avril_former')}
  and not ${differ(columns, 'avril_wanted', 'avril_former')};
${upsert(table)}
set constraints all immediate;
create temp table avril_changed on commit drop as
  select ${rowOf(key, 'avril_keys')} as key,
    case when avril_former.${first} is not null then ${rowOf(columns, 'avril_former')} end as before,
    case when it.${first} is not null then ${rowOf(columns, 'it')} end as after
  from avril_keys left join avril_former on ${same(table, 'avril_former', 'avril_keys')}
    left join ${quoted} as it on ${same(table, 'it', 'avril_keys')}
  where (avril_former.${first} is null) <> (it.${first} is null) or ${differ(columns, 'avril_former', 'it')};
select pg_catalog.json_build_object('change', changed) from avril_changed as changed order by key::text;
select coalesce(pg_catalog.md5(pg_catalog.string_agg(key::text || coalesce(before::text, ''), ',' order by key::text)),
  '') as digest from avril_changed \gset
select pg_catalog.json_build_object('digest', :'digest');
select not exists (select from avril_stale) and :'wished' = :'digest' as fine \gset
\if :fine
  commit;
  select pg_catalog.json_build_object('done', true);
\else
  rollback;
\endif
`
}

const refusal = (error: unknown, { quoted }: RowTable, { user }: Server) => {
  checkInterruption()
  if (!(error instanceof Failure)) return error
  const why = error.message.split('\n').filter(line => SERVER_ERROR.test(line) || /DETAIL:/.test(line))
  const words = why.map(line => line.trim().replace(/^psql:\S+ /, '')).join(' ')
  const hint = /permission denied|row-level security/.test(words)
    ? `${user} writes them. What belongs to a superuser is given to the role of phoenix by scripts/setup.ts; else ` +
      '--tables lays the rows beside'
    : 'is a row missing that they refer to, or is one there that refers to them? That one first (--tables, --rows)'
  return new Failure(`the rows of ${quoted} cannot be so: ${words || error.message}`, {
    exitCode: EXIT.data,
    cause: error,
    hint: `nothing was touched; ${hint}`,
  })
}

export interface Outcomes {
  changes: RowChange[]
  /** of what would be changed, whatever triggers make of the rows */
  digest: string
  /** the keys of rows that are not as they are expected */
  stale: Row[]
  done: boolean
}

/**
 * Tries out what putting rows in changes, and leaves all as it was; with the digest of what was tried does it, if it is
 * the same still. Throws a Failure (65) with the server's words when the rows cannot be so.
 */
export async function changeRows(
  live: Server,
  searchPath: string,
  table: RowTable,
  rows: Wanted,
  digest = 'none',
): Promise<Outcomes> {
  try {
    const text = await sqlOfApp(live, searchPath, changeSql(table, rows), { wished: digest })
    const lines = text.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line) as Line] : []))
    return {
      changes: lines.flatMap(({ change }) => change ?? []),
      digest: lines.find(it => it.digest !== undefined)?.digest ?? '',
      stale: lines.flatMap(it => (it.stale ? [it.stale] : [])),
      done: lines.some(({ done }) => done),
    }
  } catch (error) {
    throw refusal(error, table, live)
  }
}

interface Line {
  change?: RowChange
  digest?: string
  stale?: Row
  done?: boolean
}
