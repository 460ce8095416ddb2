// Fills the new server with what the old one has, while that is written to or in a window, and has it take its place.
import { openPublication, subscribe } from '../postgres/replication.ts'
import type { Lost } from '../postgres/bring_back.ts'
import { lockWrites } from '../postgres/lock_writes.ts'
import { structureOf } from '../postgres/remainder.ts'
import { option, psqlWith, searchPathOf, type Server } from '../postgres/server.ts'
import { messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import type { Scope } from '../system/scope.ts'
import { checkInterruption } from '../system/signals.ts'
import { catchUp, copyOthers, copyWhole } from './copy.ts'
import type { UpgradeWork } from './plan.ts'
import { type Filled, finishFollowing, replaceServer } from './replace.ts'

const REFRESH = String.raw`
select format('refresh materialized view %s', oid::regclass) from pg_class where relkind = 'm' and relispopulated
  order by oid \gexec
`

/** What views keep of the rows is as new as these. */
const refreshViews = async (server: Server, searchPath: string) => {
  try {
    await capture(psqlWith(server, [option('search_path', searchPath)], server.database), { input: REFRESH })
  } catch (error) {
    checkInterruption()
    say.warn(`not all materialized views were refreshed, so they are as they were copied: ${messageOf(error)}`)
  }
}

/** Copies the database while it is written to, and has the new server follow until the switch. */
const follow = async (work: UpgradeWork) => {
  const { old, server, tables, data } = work
  data.step('publish', `what is written to ${old.database} from now on`)
  const snapshot = await openPublication(old, tables.replicated)
  let lost: Lost[]
  try {
    lost = await copyWhole(work, old.database, snapshot.id)
  } finally {
    await snapshot.release()
  }
  data.step('follow', 'what was written meanwhile')
  await subscribe(server, old)
  await catchUp(work)
  await refreshViews(server, await searchPathOf(old, old.database))
  await catchUp(work)
  return lost
}

/**
 * Does it, by replication or in a window in which nobody writes. Throws a Failure; before the switch nothing is
 * changed.
 */
export async function fillNewServer(work: UpgradeWork): Promise<Filled> {
  const { old, tables, plan, data } = work
  const copyAgain = await copyOthers(work)
  const structure = await structureOf(old, old.database)
  const lock = () => lockWrites(old, old.database, [...tables.replicated, ...tables.others])
  if (plan.way === 'replication') {
    const lost = await follow(work)
    const finishAll = async (scope: Scope) => {
      await finishFollowing(work)
      await copyAgain(scope)
    }
    return replaceServer(work, { lost, structure, lock, finish: finishAll })
  }
  data.step('lock', `${old.database}: from here on it is read, and whoever writes waits`)
  const held = await lock()
  try {
    const lost = await copyWhole(work, old.database)
    return await replaceServer(work, { lost, structure, lock: () => Promise.resolve(held), finish: copyAgain })
  } finally {
    await held.dispose()
  }
}
