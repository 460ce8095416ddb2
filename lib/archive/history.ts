// A disk that was put back to an earlier state (a snapshot) makes the server write another history to places that are
// in the archive already. Two histories are never taken for one: the archive begins anew, with a base of its own, and
// what there was stays as it is.
import type { Server } from '../postgres/server.ts'
import { tellPeople } from '../system/notify.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'
import { chainsOf } from './bases.ts'
import { listBases } from './make_base.ts'
import { foreignChains, type Offsite } from './offsite_listing.ts'
import { lsnOf, type Piece } from './positions.ts'
import { baseScript, digestOf, hasPiece, listSegments, type Reached, readReached } from './receiver.ts'
import { chainNames, openFolderOf, openIndex } from './shipped.ts'

/** In milliseconds: the service looks every second. */
const PATIENCE = 30_000

/** Has the service wal put aside what it has, for a week, and begin anew. */
const beginAnew = async (receiver: Server, why: string) => {
  say.warn(`${why}: the archive begins anew`)
  await capture(baseScript(receiver, 'anew', why))
  const end = performance.now() + PATIENCE
  while (performance.now() < end) {
    await sleep(300)
    if ((await listBases(receiver)).length === 0 && (await readReached(receiver)).received !== null) return
  }
}

/**
 * Tells people that the archive has begun anew, and why, where it has no base yet. Gives why; empty when it has not.
 */
export async function tellAnew(settings: Settings, receiver: Server) {
  if ((await listBases(receiver)).length > 0) return ''
  const why = (await capture(baseScript(receiver, 'why'))).trim()
  if (why !== '')
    await tellPeople(settings, false, `${why}: the archive begins anew; what it had before can be brought back still`)
  return why
}

const troubleOf = async (receiver: Server, reached: Reached, last: Piece & { wal?: string }) => {
  if (last.end > reached.flushed)
    return (
      `the database was put back to an earlier state: it has written up to ${lsnOf(reached.flushed)}, and the ` +
      `archive has ${lsnOf(last.end)}`
    )
  if (last.wal === undefined || !hasPiece({ segments: await listSegments(receiver), reached }, last)) return undefined
  return (await digestOf(receiver, last, reached.segment)) === last.wal
    ? undefined
    : 'the database was put back to an earlier state: it has written something else since'
}

/**
 * Looks whether the server's WAL goes on from what is in BACKUP_DIR; where it does not, the archive begins anew. Gives
 * whether it does. Once in each process is enough: whoever puts a disk back ends it.
 */
export async function checkHistory({ BACKUP_DIR }: Settings, receiver: Server) {
  const newest = chainsOf(await listBases(receiver)).at(-1)
  if (!newest || !chainNames(BACKUP_DIR).includes(newest.name)) return false
  const reached = await readReached(receiver)
  if (newest.full.timeline !== reached.timeline) return false
  const last = (await openIndex(openFolderOf(BACKUP_DIR, newest.name, 'wal'), newest.full.endedAt)).at(-1)
  const why = last && (await troubleOf(receiver, reached, last))
  if (why === undefined) return false
  await beginAnew(receiver, why)
  return true
}

/** Has the archive begin anew where the bucket has another history of the newest chain. Gives whether it does. */
export async function checkHistoryThere({ BACKUP_DIR }: Settings, receiver: Server, there: Offsite) {
  const newest = chainsOf(await listBases(receiver)).at(-1)
  if (!newest || !foreignChains(there, BACKUP_DIR).includes(newest.name)) return false
  await beginAnew(receiver, `BACKUP_DIR was put back to an earlier state: off the site ${newest.name} has more`)
  return true
}
