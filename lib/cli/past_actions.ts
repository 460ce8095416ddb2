// What backup_restore.ts does with single tables and rows: a plan, a question, the work, a report.
import type { Stack } from '../docker/stack.ts'
import { openRows } from '../restore/bring_rows.ts'
import { openTables } from '../restore/bring_tables.ts'
import { openRowsUndo } from '../restore/undo_rows.ts'
import type { Settings } from '../system/settings.ts'
import { executeAgreed } from './agree.ts'
import type { Values } from './options.ts'
import { reportRows, reportTables, rowsProposal, tablesProposal } from './past_report.ts'
import type { RESTORE_OPTIONS } from './restore_options.ts'
import { targetFrom } from './restore_target.ts'

/** Gives what was done; undefined when it was only to be shown. */
export async function bringPast(
  stack: Stack,
  settings: Settings,
  options: Values<typeof RESTORE_OPTIONS>,
  name: string | undefined,
) {
  const { 'undo-rows': file, rows: where, tables = '', wait, key: keyFile } = options
  const request = { target: targetFrom(options, name), set: options['before-deploy'] ? undefined : name, keyFile }
  if (file === undefined && where === undefined) {
    const planned = await openTables(stack, settings, { ...request, tables: tables.split(',') }, wait)
    const result = await executeAgreed(planned, tablesProposal(planned.plan), options)
    if (result) reportTables(result)
    return result
  }
  const planned = await (file === undefined
    ? openRows(stack, settings, { ...request, table: tables, where: where ?? '' }, wait)
    : openRowsUndo(stack, settings, file, wait))
  const result = await executeAgreed(planned, rowsProposal(planned.plan), options)
  if (result) reportRows(result)
  return result
}
