// Rows are put in as they were shown, in one transaction, with a file by which that is undone.
import { rmSync } from 'node:fs'
import { audit } from '../system/audit.ts'
import { Failure } from '../system/errors.ts'
import { undoFile, writeRowUndo } from '../postgres/row_undo.ts'
import type { Server } from '../postgres/server.ts'
import { changeRows, type RowChange, type RowTable, type Wanted } from './row_changes.ts'
import type { RestoreWork } from './work.ts'

export interface RowsPlan {
  /** the moment, the set or the file, in words */
  from: string
  database: string
  table: RowTable
  changes: RowChange[]
  /** rows that are as they were */
  unchanged: number
  /** what runs when they are written */
  triggers: string[]
  /** the role that writes them, with whose rights it runs */
  role: string
  /** columns that the live table has and the past has not */
  missing: string[]
}

export interface RowsResult {
  result: 'brought' | 'undone'
  table: string
  inserted: number
  changed: number
  removed: number
  /** the file by which it is undone; null when nothing was changed */
  undo: string | null
  seconds: Record<string, number>
}

export interface RowsWork {
  work: RestoreWork
  /** the live server, with sessions of that role */
  writer: Server
  searchPath: string
  plan: RowsPlan
  rows: Wanted
  digest: string
}

const count = (changes: RowChange[]) => ({
  inserted: changes.filter(({ before }) => before === null).length,
  changed: changes.filter(({ before, after }) => before !== null && after !== null).length,
  removed: changes.filter(({ after }) => after === null).length,
})

const apply = async (
  { work, writer, searchPath, plan, rows, digest }: RowsWork,
  result: RowsResult['result'],
): Promise<RowsResult> => {
  const { server: live, data } = work
  const { table, from } = plan
  const about = { version: 1 as const, database: live.database, table: table.quoted, from, columns: table.columns }
  const file = undoFile(table.quoted, new Date())
  const note = (changes: RowChange[]) => writeRowUndo(file, { ...about, time: new Date().toISOString(), changes })
  audit(`${result === 'undone' ? 'undo' : 'restore'} of rows`, { from, table: table.quoted, ...count(plan.changes) })
  data.step('rows', `of ${table.quoted}, in one transaction`)
  // Before: whoever is killed here can undo it all the same.
  note(plan.changes)
  const { done, changes } = await changeRows(writer, searchPath, table, rows, digest)
  if (!done) {
    rmSync(file, { force: true })
    throw new Failure(`the rows of ${table.quoted} have changed since they were shown`, {
      hint: 'nothing was touched; run it again, and look at them once more',
    })
  }
  note(changes)
  return { result, table: table.quoted, ...count(changes), undo: file, seconds: data.seconds() }
}

/** Does what was shown, if it changes anything. Throws a Failure when other rows would be changed by now. */
export async function putRows(it: RowsWork, result: RowsResult['result']): Promise<RowsResult> {
  if (it.plan.changes.length > 0) return apply(it, result)
  return { result, table: it.plan.table.quoted, ...count([]), undo: null, seconds: it.work.data.seconds() }
}
