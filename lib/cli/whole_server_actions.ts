// What backup_restore.ts does with the whole server: a plan, a question, the work, a report.
import type { Stack } from '../docker/stack.ts'
import { hookLines } from '../system/hooks.ts'
import type { Settings } from '../system/settings.ts'
import { openWholeServer, openWholeServerUndo } from '../upgrade/whole_server.ts'
import type { Finished } from '../upgrade/switch.ts'
import { executeAgreed } from './agree.ts'
import type { Values } from './options.ts'
import type { RESTORE_OPTIONS } from './restore_options.ts'
import { targetFrom } from './restore_target.ts'
import {
  reportFinished,
  reportWholeServer,
  wholeServerProposal,
  wholeServerUndoProposal,
} from './whole_server_report.ts'

const finished = ({ finished }: Finished) => {
  reportFinished(finished)
  return { result: undefined, code: 0 }
}

/** Gives what was done, if it was, and the exit code. */
export async function restoreWholeServer(
  stack: Stack,
  settings: Settings,
  options: Values<typeof RESTORE_OPTIONS>,
  release: string | undefined,
) {
  const { wait, key: keyFile } = options
  const hooks = hookLines('restore', settings)
  if (options.undo) {
    const planned = await openWholeServerUndo(stack, settings, wait)
    if ('finished' in planned) return finished(planned)
    const result = await executeAgreed(
      planned,
      wholeServerUndoProposal(planned.plan, settings.POSTGRES_DB, hooks),
      options,
    )
    return { result, code: result ? reportWholeServer(result) : 0 }
  }
  const target = targetFrom(options, release) ?? { kind: 'end' as const }
  const planned = await openWholeServer(stack, settings, { target, keyFile }, wait)
  if ('finished' in planned) return finished(planned)
  const { POSTGRES_USER: user, POSTGRES_APP_USER: app } = settings
  const logins = app === undefined ? [user] : [user, app]
  const proposal = wholeServerProposal(planned.plan, settings.FORMER_DAYS, logins, hooks)
  const result = await executeAgreed(planned, proposal, options)
  return { result, code: result ? reportWholeServer(result) : 0 }
}
