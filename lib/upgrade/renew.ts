// The same PostgreSQL in an image with another C library or ICU: what was sorted by the former one is sorted anew.
import type { Stack } from '../docker/stack.ts'
import { outdatedCollations, renewCollations, type Outdated } from '../postgres/collations.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { audit } from '../system/audit.ts'
import { type Planned, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { takeDataLock } from '../system/work_lock.ts'

export interface RenewResult {
  result: 'sorted anew'
  databases: string[]
  indexes: number
  /** spent in each step */
  seconds: Record<string, number>
}

/** Plans to build anew the indexes whose order is that of another library; undefined when there are none. */
export async function openRenewal(
  stack: Stack,
  settings: Settings,
  wait: boolean,
): Promise<Planned<Outdated[], RenewResult> | undefined> {
  const scope = new Scope()
  try {
    const data = scope.use(await takeDataLock('building indexes anew', wait))
    const server = await openSessions(await findServer(stack.project, settings))
    const plan = await outdatedCollations(server)
    if (plan.length === 0) {
      await scope.dispose()
      return undefined
    }
    const execute = async () => {
      audit('indexes built anew', { databases: plan.map(({ database }) => database) })
      for (const outdated of plan) {
        data.step('sort', `${outdated.indexes.length} indexes of ${outdated.database}; the site goes on`)
        await renewCollations(server, outdated)
      }
      const indexes = plan.reduce((sum, it) => sum + it.indexes.length, 0)
      return {
        result: 'sorted anew' as const,
        databases: plan.map(it => it.database),
        indexes,
        seconds: data.seconds(),
      }
    }
    return { plan, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
