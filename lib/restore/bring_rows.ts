// Single rows of the past, put back into the live table: first tried out, then done in one transaction, with a file by
// which it is undone.
import type { Stack } from '../docker/stack.ts'
import { asData, asWriter, option, psqlWith, type Server, searchPathOf } from '../postgres/server.ts'
import { EXIT, usage } from '../system/errors.ts'
import { attempt, failureOf } from '../system/run.ts'
import { type Planned, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { openPastOf, type PastRequest } from './open_past.ts'
import { livePath, tableNamed } from './past_tables.ts'
import { putRows, type RowsPlan, type RowsResult } from './put_rows.ts'
import { changeRows, FORMS, type Row, type RowTable } from './row_changes.ts'
import { columnsOf, rowTableOf, triggersOf } from './row_table.ts'
import { beginWork } from './work.ts'

/** More are too many to be shown, and for the memory: the table beside does better. */
const MOST = 10_000

// The clause is a person's SQL: it runs here alone, where nothing is kept, in a transaction that can only read.
const PICK = String.raw`
begin;
create temp table picked on commit drop as select :columns from :table with no data;
set transaction read only;
select format('insert into picked select * from (select %s from %s %s%s) as it limit %s',
  :'columns', :'table', text, E'\n', :'most') from given
\gexec
select to_json(array[:texts]) from picked;
rollback;
`

const pick = async (past: Server, searchPath: string, { quoted, columns }: RowTable, where: string): Promise<Row[]> => {
  const variables = {
    columns: columns.join(', '),
    texts: columns.map(it => `${it}::text`).join(', '),
    table: quoted,
    most: String(MOST + 1),
  }
  const sets = Object.entries(variables).map(([name, value]) => `--set=${name}=${value}`)
  const command = psqlWith(past, [option('search_path', searchPath)], past.database, ...sets)
  const outcome = await attempt(command, { input: `${FORMS}${asData(where)}${PICK}`, most: 1 << 28 })
  if (outcome.code !== 0)
    throw failureOf(command, outcome, { what: '--rows', exitCode: EXIT.usage, hint: 'nothing was touched' })
  const rows = outcome.stdout.split('\n').flatMap(line => (line.startsWith('[') ? [JSON.parse(line) as Row] : []))
  if (rows.length > MOST)
    throw usage(
      `there are more than ${MOST} such rows`,
      'nothing was touched; --tables alone lays the table of then beside',
    )
  if (rows.length > 0) return rows
  throw usage(`there was no such row in ${quoted}`, 'nothing was touched')
}

/**
 * Opens the past, and tries out what its rows change in the live table. Throws a Failure: 64 for a table or rows that
 * are not there, 65 when they cannot be put in.
 */
export async function openRows(
  stack: Stack,
  settings: Settings,
  request: PastRequest & { table: string; where: string },
  wait: boolean,
): Promise<Planned<RowsPlan, RowsResult>> {
  if (!/^\s*where\s/i.test(request.where))
    throw usage('--rows begins with "where"', 'for example --rows "where id = 3"')
  const scope = new Scope()
  try {
    const work = scope.use(await beginWork(stack, settings, wait))
    const { server: live, data } = work
    const { server: past, what } = scope.use(await openPastOf(stack.project, settings, request, data.step))
    const [pastPath, searchPath] = [await searchPathOf(past, past.database), await livePath(live)]
    const then = await tableNamed(past, pastPath, request.table, 'that past')
    const { quoted } = await tableNamed(live, searchPath, then.quoted, 'the live database')
    const known = await columnsOf(past, then.quoted)
    const table = await rowTableOf(live, quoted, known)
    data.step('compare', `the rows of then with those of ${quoted}`)
    const wanted = await pick(past, pastPath, table, request.where)
    const rows = { wanted, expected: [] }
    const writer = await asWriter(live, quoted)
    const { changes, digest } = await changeRows(writer, searchPath, table, rows)
    const missing = (await columnsOf(live, quoted)).filter(it => !known.includes(it))
    const triggers = await triggersOf(live, quoted)
    const unchanged = wanted.length - changes.length
    const plan = {
      from: what,
      database: live.database,
      table,
      changes,
      unchanged,
      triggers,
      role: writer.user,
      missing,
    }
    const execute = () => putRows({ work, writer, searchPath, plan, rows, digest }, 'brought')
    return { plan, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
