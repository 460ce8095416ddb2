// The switch: what is left to bring when nobody writes any more, the last comparison, and the new server in the place
// of the old one.
import { stop } from '../docker/commands.ts'
import type { Lost } from '../postgres/bring_back.ts'
import { admin } from '../postgres/databases.ts'
import { lockWrites, proveLocked } from '../postgres/lock_writes.ts'
import {
  copyLargeObjects,
  copySequences,
  copyTables,
  LARGE_OBJECTS,
  proveLargeObjects,
  structureOf,
} from '../postgres/remainder.ts'
import { copyRoles } from '../postgres/saved_roles.ts'
import { forgetReplication, unsubscribe } from '../postgres/replication.ts'
import { sql } from '../postgres/server.ts'
import { countRows } from '../postgres/snapshot.ts'
import { readUpgradeNote } from '../postgres/upgrade_note.ts'
import { together } from '../system/concurrency.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import { shielded } from '../system/signals.ts'
import { catchUp, compareServers, WORK } from './copy.ts'
import { fromThere, removeNewServer } from './new_server.ts'
import { pauseForServer } from '../nginx/pause_for_server.ts'
import type { UpgradeWork } from './plan.ts'
import { finishChange, switchTo } from './switch.ts'

/** What has followed ends: when nobody writes, the two have the same but for what replication does not carry. */
export async function finishFollowing(work: UpgradeWork) {
  const { old, server, tables } = work
  await catchUp(work, await sql(old, old.database, 'select pg_current_wal_insert_lsn()'))
  await unsubscribe(server)
  await copyTables(old, server, old.database, tables.others, (...command) => fromThere(old, ...command))
}

const proveStructure = async ({ old }: UpgradeWork, structure: string) => {
  if ((await structureOf(old, old.database)) === structure) return
  throw new Failure(`the structure of ${old.database} was changed meanwhile, and the new server has the former one`, {
    hint: 'the old server goes on; run it again when nobody changes tables',
  })
}

/** What is filled, and how to bring the last of it when nobody writes any more. */
export interface LastSteps {
  lost: Lost[]
  /** of the site's database, before it was copied */
  structure: string
  /** Has whoever writes wait. */
  lock: () => Promise<Disposable>
  /** What is held then is held until the switch is over. */
  finish: (scope: Scope) => Promise<void>
}

export interface Filled {
  lost: Lost[]
  waited: number
  tables: number
  rows: number
}

const switchOver = async ({ stack, change, old, server, data }: UpgradeWork) => {
  await forgetReplication(old, readUpgradeNote().under_way?.had)
  await capture(stop(server.id), { what: 'stopping the new server' })
  await switchTo(stack, change, old.id, true)
  await removeNewServer(stack.project)
  await finishChange(stack, change, data.step).catch((error: unknown) => {
    throw new Failure(`PostgreSQL is upgraded, but an app did not get healthy after it: ${messageOf(error)}`, {
      cause: error,
      hint: 'to go back: postgres_upgrade.ts --undo',
    })
  })
}

/** From here on requests wait, until the apps have started anew. */
export async function replaceServer(work: UpgradeWork, last: LastSteps): Promise<Filled> {
  const { stack, change, old, server, data } = work
  await admin(server, 'checkpoint')
  const scope = new Scope()
  try {
    const began = performance.now()
    data.step('switch', `to PostgreSQL ${change.next.version}; requests wait`)
    scope.use(await pauseForServer(stack))
    scope.use(await last.lock())
    await last.finish(scope)
    await proveStructure(work, last.structure)
    // A password may have been changed since.
    await copyRoles(old, server)
    await copySequences(old, server, old.database)
    await copyLargeObjects(old, server, old.database, WORK, (...command) => fromThere(old, ...command))
    // To read one is to lock it out: they are locked when all are copied, and looked at again.
    scope.use(await lockWrites(old, old.database, LARGE_OBJECTS))
    await proveLargeObjects(old, server, old.database)
    const [expected, found] = await together(() => [countRows(old, old.database), countRows(server, old.database)])
    compareServers(expected, found)
    // That of the tables, and that of the large objects.
    await proveLocked(old, old.database, 2)
    await shielded(() => switchOver(work))
    const counts = Object.values(expected)
    const total = counts.reduce((sum, count) => sum + count, 0)
    return { lost: last.lost, waited: (performance.now() - began) / 1000, tables: counts.length, rows: total }
  } finally {
    await scope.dispose()
  }
}
