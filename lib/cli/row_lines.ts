// Rows and moments as the plans of restores tell them.
import type { RestorePlan } from '../restore/plan.ts'
import type { RecoveredMoment } from '../restore/recover_moment.ts'
import { momentText } from '../system/site_time.ts'

type Rows = Pick<RestorePlan, 'now' | 'after'>

const number = (count: number) => count.toLocaleString('en-US')

/** All rows of some tables. */
export function total(tables: Record<string, number>) {
  const counts = Object.values(tables)
  return `${number(counts.reduce((sum, rows) => sum + rows, 0))} rows in ${counts.length} tables`
}

// The tables whose number of rows changes most.
const changes = ({ now, after }: Rows) =>
  Object.keys({ ...now, ...after })
    .map(table => ({ table, before: now?.[table], after: after[table] }))
    .filter(({ before, after }) => before !== undefined && before !== after)
    .toSorted((a, b) => Math.abs((b.after ?? 0) - (b.before ?? 0)) - Math.abs((a.after ?? 0) - (a.before ?? 0)))

/** A line for each of those. */
export function changeLines(plan: Rows) {
  const changed = changes(plan)
  const shown = changed
    .slice(0, 8)
    .map(
      ({ table, before = 0, after }) =>
        `            ${table}: ${number(before)} → ${after === undefined ? 'not there' : number(after)}`,
    )
  return changed.length > shown.length
    ? [...shown, `            … and ${changed.length - shown.length} tables more`]
    : shown
}

/** Where the recovery stopped, between two transactions. */
export function stopLines({ kept, dropped }: Pick<RecoveredMoment, 'kept' | 'dropped'>) {
  return [
    `last kept   ${kept ? `the transaction that was committed at ${momentText(kept)}` : 'nothing since its base'}`,
    'dropped     ' +
      (dropped
        ? `from transaction ${dropped.transaction} on, which was committed at ${momentText(dropped.at)}`
        : 'nothing: the archive has no later transaction'),
  ]
}
