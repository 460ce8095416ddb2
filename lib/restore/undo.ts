// The way back from a restore: the former database becomes the live one again.
import { audit } from '../system/audit.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import type { Settings } from '../system/settings.ts'
import type { Planned } from '../system/scope.ts'
import { databaseExists, databaseName } from '../postgres/databases.ts'
import { usage } from '../system/errors.ts'
import { listFormer } from '../postgres/former_databases.ts'
import { startAnew, swapIn } from './cutover.ts'
import type { RestoreResult } from './plan.ts'
import type { Stack } from '../docker/stack.ts'
import { beginWork } from './work.ts'

export interface UndoPlan {
  /** the former database that comes back */
  from: string
  /** since when it is put aside */
  since: Date
  /** the database that it replaces */
  database: string
  /** the name under which that one is kept; undefined when there is none */
  former: string | undefined
}

/**
 * Plans to swap the newest former database back. What is live now becomes a former one, so that this can be undone too.
 * Throws a Failure (64) when there is no former one.
 */
export async function openUndo(
  stack: Stack,
  settings: Settings,
  wait: boolean,
): Promise<Planned<UndoPlan, RestoreResult>> {
  const work = await beginWork(stack, settings, wait)
  try {
    const { server, stamp, data } = work
    const [back] = await listFormer(server)
    if (!back)
      throw usage(
        'there is no former database to go back to',
        'a restore keeps one until a backup finds that its time is over (FORMER_DAYS)',
      )
    const { database } = server
    const former = (await databaseExists(server, database)) ? databaseName(database, 'before', stamp) : undefined
    const swapBack = async () => {
      audit('undo of a restore', { back: back.name, database, former: former ?? null })
      const swapped = await startAnew(work, await swapIn(work, back.name, former))
      return { result: 'undone' as const, lost: [], files: null, from: back.name, ...swapped, seconds: data.seconds() }
    }
    const execute = async () => {
      const about = { kind: 'undo', from: back.name, database, former: former ?? null }
      return tellAfter(await runBefore('restore', settings, about), swapBack, () => ({}))
    }
    return { plan: { from: back.name, since: back.since, database, former }, execute, dispose: work.dispose }
  } catch (error) {
    await work.dispose()
    throw error
  }
}
