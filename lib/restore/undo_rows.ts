// What bringing rows back has changed is taken back, by the file that it left.
import type { Stack } from '../docker/stack.ts'
import { readRowUndo } from '../postgres/row_undo.ts'
import { asWriter } from '../postgres/server.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { type Planned, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { livePath, tableNamed } from './past_tables.ts'
import { putRows, type RowsPlan, type RowsResult } from './put_rows.ts'
import { changeRows, type Row, type RowTable } from './row_changes.ts'
import { rowTableOf, triggersOf } from './row_table.ts'
import { beginWork } from './work.ts'

/** Plans to take back what a file tells. Throws a Failure (65) when the rows are not what it left any more. */
export async function openRowsUndo(
  stack: Stack,
  settings: Settings,
  file: string,
  wait: boolean,
): Promise<Planned<RowsPlan, RowsResult>> {
  const undo = readRowUndo(file)
  const scope = new Scope()
  try {
    const work = scope.use(await beginWork(stack, settings, wait))
    const { server: live } = work
    const searchPath = await livePath(live)
    const { quoted } = await tableNamed(live, searchPath, undo.table, 'the live database')
    const table = await rowTableOf(live, quoted, undo.columns)
    if (table.columns.join() !== undo.columns.join())
      throw new Failure(`${quoted} has other columns than when ${file} was written`, { exitCode: EXIT.data })
    const side = (which: 'before' | 'after') => undo.changes.flatMap(it => (it[which] ? [it[which]] : []))
    const rows = { wanted: side('before'), expected: side('after') }
    const writer = await asWriter(live, quoted)
    const { changes, digest, stale } = await changeRows(writer, searchPath, table, rows)
    if (stale.length > 0) throw staleFailure(table, stale)
    const triggers = await triggersOf(live, quoted)
    const role = writer.user
    const plan = { from: file, database: live.database, table, changes, unchanged: 0, triggers, role, missing: [] }
    const execute = () => putRows({ work, writer, searchPath, plan, rows, digest }, 'undone')
    return { plan, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}

const staleFailure = ({ quoted, key }: RowTable, stale: Row[]) =>
  new Failure(
    `${stale.length} of the rows of ${quoted} were changed since: ${key.join(', ')} ${stale
      .slice(0, 10)
      .map(it => it.join(', '))
      .join('; ')}`,
    {
      exitCode: EXIT.data,
      hint: 'nothing was touched; correct them by hand (scripts/psql.ts), by what the file tells',
    },
  )
