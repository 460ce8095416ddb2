// A full base that is due now, and not only next night.
import { openEncryptor } from '../crypto/age.ts'
import { restart } from '../docker/commands.ts'
import type { Server } from '../postgres/server.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { tellAnew } from './history.ts'
import { makeBase, previousFor } from './make_base.ts'
import { findReceiver, readReached } from './receiver.ts'
import { hasOtherRecipients, shipBases } from './ship_bases.ts'
import type { Received } from './ship_wal.ts'

/** The data lock, unless somebody has it. */
const lockIfFree = async (): Promise<DataWork | undefined> => {
  try {
    return await takeDataLock('making a base backup', false)
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT.locked) return undefined
    throw error
  }
}

/**
 * Makes a full base when nothing can be recovered without: there is none yet, or the WAL has a gap since the last one
 * (a slot that was lost), or when BACKUP_RECIPIENTS are others by now. Not while a backup or a restore is under way.
 * Gives whether it did.
 */
export async function makeDueBase(
  settings: Settings,
  receiver: Server,
  reached: Received,
  memory: { mayMakeBase: boolean },
) {
  if (!memory.mayMakeBase || reached.received === null) return false
  const previous = await previousFor(receiver, reached)
  if (previous && !hasOtherRecipients(settings, previous.chain)) return false
  const work = await lockIfFree()
  if (!work) return false
  memory.mayMakeBase = false
  try {
    const anew = await tellAnew(settings, receiver)
    const why = previous ? 'BACKUP_RECIPIENTS are others' : 'the archive has no base that the WAL goes on from'
    say.step(`${why}${anew && ` (${anew})`}: one is made`)
    const base = await makeBase(settings, work, 'full')
    await shipBases(settings, receiver, await openEncryptor(settings), [base])
    memory.mayMakeBase = true
    return true
  } finally {
    await work.dispose()
  }
}

/** In milliseconds: the service wal begins to receive from another server some seconds after that is there. */
const PATIENCE = 120_000

/**
 * Makes a full base of a server that has taken the place of another, once the archive receives from it, and ships it.
 * Gives its name. Only under the data lock. Throws a Failure; the next pass of the shipping makes it then.
 */
export async function makeBaseAtOnce(settings: Settings, work: DataWork) {
  const receiver = await findReceiver(settings)
  work.step('archive', 'it begins anew, with a base of its own')
  // It looks at once which server is there.
  await capture(restart(receiver.id), { what: `restarting ${receiver.name}` })
  const end = performance.now() + PATIENCE
  for (;;) {
    const received = await readReached(receiver).then(
      reached => reached.received,
      () => null,
    )
    if (received !== null) break
    if (performance.now() > end)
      throw new Failure('the service wal does not receive from the server', { hint: 'scripts/logs.ts wal' })
    await sleep(200)
  }
  const base = await makeBase(settings, work, 'full')
  await shipBases(settings, receiver, await openEncryptor(settings), [base])
  return base.name
}
