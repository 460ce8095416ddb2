// Words about a rollback that takes the data back, too.
import type { RollbackPlan, RollbackResult } from '../restore/rollback_with_data.ts'
import type { HookLines } from '../system/hooks.ts'
import { say } from '../system/progress.ts'
import { counted } from '../system/format.ts'
import type { Proposal } from './agree.ts'
import { reportDeploy } from './deploy_report.ts'
import { reportRestore, restoreProposal } from './restore_report.ts'

const SHOWN = 8

const writtenLines = ({ written, former }: RollbackPlan) => {
  const tables = Object.entries(written).toSorted(([, a], [, b]) => b - a)
  const total = tables.reduce((sum, [, rows]) => sum + rows, 0)
  if (total === 0) return ['leaving     nothing: no row was written since that is there now']
  const more = tables.length > SHOWN ? [`            … and ${tables.length - SHOWN} tables more`] : []
  return [
    `leaving     ${counted(total, 'row')} written since leave the live ` +
      `database${former ? `, and stay in ${former}` : ''}:`,
    ...tables.slice(0, SHOWN).map(([table, rows]) => `            ${table}: ${rows.toLocaleString('en-US')}`),
    ...more,
  ]
}

/** What goes back, and what is asked before. */
export function rollbackProposal(plan: RollbackPlan, hooks: HookLines): Proposal {
  const { repository, release } = plan
  const { text, question } = restoreProposal(plan, hooks)
  const code =
    `release     ${repository}: ${release.from} → ${release.to}; requests wait until it serves, each for 30 s at ` +
    'most'
  return { plan, text: [code, ...writtenLines(plan), text].join('\n'), question }
}

/** Says how it ended; gives the exit code. */
export function reportRollback(result: RollbackResult) {
  if (result.release) reportDeploy(result.release)
  const code = reportRestore(result)
  say.detail('forward again: first the data (backup_restore.ts --undo), then the release (deploy_local.ts --to)')
  return code
}
