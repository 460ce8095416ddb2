// Words about tables and rows of the past, before they are brought back and after it.
import type { TablesPlan, TablesResult } from '../restore/bring_tables.ts'
import type { RowsPlan, RowsResult } from '../restore/put_rows.ts'
import type { RowChange, Row } from '../restore/row_changes.ts'
import { counted, totalTime } from '../system/format.ts'
import { quoteWord } from '../system/shell.ts'
import { say } from '../system/progress.ts'
import type { Proposal, Question } from './agree.ts'

const number = (count: number) => count.toLocaleString('en-US')

/** Which tables will lie beside the live ones. */
export function tablesProposal(plan: TablesPlan): Proposal {
  const lines = plan.tables.map(
    ({ table, copy, rows, now }) =>
      `beside      ${copy}: ${counted(rows, 'row')} of ${table}, which ` +
      (now === undefined ? 'is not there now' : `has ${number(now)} now`),
  )
  const text = [
    `from        ${plan.from}`,
    `into        the database ${plan.database}`,
    ...lines,
    'replaced    nothing',
  ]
  return { plan, text: text.join('\n'), question: undefined }
}

/** Says how it ended. */
export function reportTables({ tables, seconds }: TablesResult) {
  for (const { copy, rows } of tables) say.detail(`${copy}: ${counted(rows, 'row')}`)
  say.done(`the tables of then lie beside the live ones, after ${totalTime(seconds)}`)
  const drops = tables.map(({ copy }) => copy).join(', ')
  say.detail(`they hold personal data, too. When they are needed no more: scripts/psql.ts -c 'drop table ${drops}'`)
}

const SHOWN = 20
const cut = (value: string | null | undefined) => {
  if (value === null || value === undefined) return 'nothing'
  return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
}

const changeText = ({ columns, key }: RowsPlan['table'], change: RowChange) => {
  const name = key.map((column, index) => `${column} ${change.key[index]}`).join(', ')
  const { before, after } = change
  if (!before) return `insert      ${name}`
  if (!after) return `remove      ${name}`
  const differing = (row: Row) =>
    columns.flatMap((column, index) =>
      row[index] === after[index] ? [] : [`${column}: ${cut(row[index])} → ${cut(after[index])}`],
    )
  return `change      ${name}: ${differing(before).join('; ')}`
}

/** What will be inserted, changed and removed. */
export function rowsProposal(plan: RowsPlan): Proposal {
  const { from, database, table, changes, unchanged, triggers, role, missing } = plan
  const more = changes.length - SHOWN
  const lines = [
    `from        ${from}`,
    `into        ${table.quoted} of the database ${database}`,
    ...changes.slice(0, SHOWN).map(change => changeText(table, change)),
    ...(more > 0 ? [`            … and ${counted(more, 'row')} more: --dry-run --json lists all`] : []),
    ...(unchanged > 0 ? [`unchanged   ${counted(unchanged, 'row')}: as then`] : []),
    ...(missing.length > 0 ? [`left as now ${missing.join(', ')}, which that past has not`] : []),
    ...(triggers.length > 0 ? [`runs        the triggers ${triggers.join(', ')}, with the rights of ${role}`] : []),
  ]
  const question: Question | undefined = changes.length > 0 ? ['changing rows', table.quoted] : undefined
  return { plan, text: lines.join('\n'), question }
}

/** Says how it ended. */
export function reportRows({ table, inserted, changed, removed, undo, seconds }: RowsResult) {
  if (undo === null) return say.done(`nothing to do: the rows of ${table} are as they were then`)
  say.done(
    `${table}: ${number(inserted)} inserted, ${number(changed)} changed, ${number(removed)} removed, after ` +
      totalTime(seconds),
  )
  say.detail(`to take that back: backup_restore.ts --undo-rows ${quoteWord(undo)}`)
}
