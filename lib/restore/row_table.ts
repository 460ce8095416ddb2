// How the rows of a table are told apart, and which of their columns can be set.
import { rows, type Server } from '../postgres/server.ts'
import { EXIT, Failure } from '../system/errors.ts'
import type { RowTable } from './row_changes.ts'

interface Column {
  name: string
  generated: boolean
  always: boolean
  key: boolean
}

const COLUMNS = `
select json_build_object('name', quote_ident(attname), 'generated', attgenerated <> '', 'always', attidentity = 'a',
  'key', attnum = any (coalesce((select conkey from pg_constraint where conrelid = attrelid and contype = 'p'), '{}')))
from pg_attribute where attrelid = :'table'::regclass and attnum > 0 and not attisdropped order by attnum
`

const TRIGGERS = `
select to_json(tgname) from pg_trigger where tgrelid = :'table'::regclass and not tgisinternal and tgenabled <> 'D'
  order by tgname
`

/** The columns of a table, each quoted. */
export async function columnsOf(server: Server, table: string) {
  return (await rows<Column>(server, server.database, COLUMNS, { table })).map(({ name }) => name)
}

/** What runs when rows of it are written. */
export function triggersOf(server: Server, table: string) {
  return rows<string>(server, server.database, TRIGGERS, { table })
}

/**
 * A live table, with those of its columns that are `known` and not computed by the server. Throws a Failure (65) when
 * it has no primary key, or that is not known.
 */
export async function rowTableOf(live: Server, quoted: string, known: string[]): Promise<RowTable> {
  const columns = await rows<Column>(live, live.database, COLUMNS, { table: quoted })
  const key = columns.filter(it => it.key).map(({ name }) => name)
  const usable = columns.filter(({ name, generated }) => !generated && known.includes(name))
  const names = usable.map(({ name }) => name)
  if (key.length > 0 && key.every(it => names.includes(it))) {
    const settable = usable.filter(it => !it.key && !it.always).map(({ name }) => name)
    return { quoted, columns: names, key, settable }
  }
  const why = key.length === 0 ? 'has no primary key' : `has another primary key now (${key.join(', ')})`
  throw new Failure(`${quoted} ${why}: nobody can tell which row is which`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; --tables without --rows lays the table of then beside it',
  })
}
