// A rollback that takes the data back, too: the database of then is swapped in while requests wait, between the end
// of the old code's requests and the start of the new.
import { databaseExists } from '../postgres/databases.ts'
import { findServer, openSessions, type Server } from '../postgres/server.ts'
import { swap } from '../postgres/swap_databases.ts'
import { say } from '../system/progress.ts'
import { loadSettings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import type { Rollout } from './rollout.ts'

/** What is swapped in, and the name that the live database gets. */
export interface DataSwap {
  server: Server
  incoming: string
  former: string
  /** is told when it is done */
  onSwapped: (times: { began: Date; ended: Date }) => void
}

/** Does it; noted before, so that the next run takes it back when this one is killed. */
export async function swapData(rollouts: Rollout[], { server, incoming, former, onSwapped }: DataSwap) {
  for (const { progress } of rollouts) progress.note({ former })
  rollouts[0]?.progress.phase('data', `${server.database} becomes ${former}`)
  onSwapped(await shielded(() => swap(server, incoming, former)))
  rollouts[0]?.progress.end(true)
}

/** The name that it has while it is none that anybody goes back to: the next backup or restore removes it. */
const asideOf = (former: string) => former.replace(/_before_(?=[^_]*$)/, '_restoring_')

/** Takes it back, if it was done: the deploy goes back, and the release that stays needs its own data. */
export async function swapDataBack(server: Server, former: string) {
  if (!(await databaseExists(server, former))) return
  say.step(`the data come back, too: ${former} becomes ${server.database}`)
  await shielded(() => swap(server, former, asideOf(former)))
}

/** The same for a deploy that was killed. */
export async function recoverData(rollouts: Rollout[]) {
  const former = rollouts.find(({ progress }) => progress.journal.former !== undefined)?.progress.journal.former
  const [first] = rollouts
  if (former === undefined || !first) return
  await swapDataBack(await openSessions(await findServer(first.stack.project, loadSettings())), former)
}
