// A pass: what was received since the last one goes into BACKUP_DIR and off the site, and what there is is noted.
import { isOffsite, type OffSite, openOffsite } from '../backup/offsite/layout.ts'
import { openEncryptor } from '../crypto/age.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { takeLock } from '../system/lock.ts'
import { say } from '../system/progress.ts'
import { Scope } from '../system/scope.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { checkInterruption, sleep } from '../system/signals.ts'
import { noteArchive, noteOffsiteError } from './archive_state.ts'
import { type Chain, chainsOf } from './bases.ts'
import { makeDueBase } from './due_base.ts'
import { listBases } from './make_base.ts'
import { noteCount } from './noted_counts.ts'
import { checkHistory, checkHistoryThere } from './history.ts'
import { copyWalOffsite } from './offsite.ts'
import { listArchiveOffsite } from './offsite_listing.ts'
import { findReceiver } from './receiver.ts'
import { type Received, type Pass, shipWal, untilReceived } from './ship_wal.ts'
import { newShipMemory, type ShipMemory } from './ship_memory.ts'
import { isWanted } from './retain_chains.ts'
import { joined, localWindows, shippedWindows } from './windows.ts'

const copyOffsite = async (settings: Settings, memory: ShipMemory) => {
  if (!isOffsite(settings)) return null
  const scope = new Scope()
  try {
    const site: OffSite = scope.use(await openOffsite(settings))
    const isFirst = memory.offsite === undefined
    memory.offsite ??= await listArchiveOffsite(site)
    if (isFirst) await checkHistoryThere(settings, await findReceiver(settings), memory.offsite)
    const at = await copyWalOffsite(site, settings.BACKUP_DIR, memory.offsite, !memory.isIndexed)
    memory.isIndexed = true
    return at ?? null
  } finally {
    await scope.dispose()
  }
}

const troubleOf = ({ slot, received }: Received, { missing }: Pass) => {
  if (slot === 'lost') return 'the slot is lost: what was to be received is gone'
  if (received === null) return 'the service wal does not receive: scripts/logs.ts wal'
  return missing === undefined ? '' : `the WAL has a gap: ${missing} was not received; a new base is due`
}

const baseOf = (chains: Chain[]) => {
  const newest = chains.at(-1)?.bases.at(-1)
  return newest ? { name: newest.name, kind: newest.kind, endedAt: newest.endedAt } : null
}

const pass = async (settings: Settings, memory: ShipMemory): Promise<Pass & { trouble: string }> => {
  const receiver = await findReceiver(settings)
  if (!memory.isNoted) memory.isNoted = (await noteCount(receiver)) !== undefined
  if (!memory.isKnown) await checkHistory(settings, receiver)
  memory.isKnown = true
  const before = await untilReceived(receiver)
  const reached = (await makeDueBase(settings, receiver, before, memory)) ? await untilReceived(receiver) : before
  const chains = chainsOf(await listBases(receiver))
  const encryptor = await openEncryptor(settings)
  const shipping = { settings, receiver, encryptor, reached, positions: memory.positions }
  const wanted = chains.filter(chain => isWanted(chains, chain, settings))
  const done = await shipWal(shipping, wanted)
  const windows = joined([
    ...shippedWindows(settings),
    ...(done.missing ? [] : localWindows(chains, reached.complete?.at)),
  ])
  const error = troubleOf(reached, done)
  noteArchive({
    ...(reached.complete ? { received: reached.complete.at } : {}),
    ...(reached.complete && error === '' ? { shipped: reached.complete.at } : {}),
    windows,
    base: baseOf(chains),
    slot: reached.slot,
    error,
  })
  return { ...done, trouble: error }
}

/** One pass. A bucket that does not answer is noted and told, and keeps nothing from BACKUP_DIR. */
export async function shipOnce(settings: Settings, memory: ShipMemory) {
  let done: Awaited<ReturnType<typeof pass>>
  try {
    done = await pass(settings, memory)
  } catch (error) {
    checkInterruption()
    noteArchive({ error: messageOf(error).split('\n')[0]!.slice(0, 300) })
    throw error
  }
  try {
    const at = await copyOffsite(settings, memory)
    noteArchive({ offsite: at === null ? null : { at, error: '' } })
  } catch (error) {
    checkInterruption()
    noteOffsiteError(error)
    throw error
  }
  const { trouble, ...shipped } = done
  if (trouble === '') return shipped
  throw new Failure(trouble, {
    exitCode: EXIT.unreachable,
    hint: 'what was received is shipped; scripts/status.ts',
  })
}

export interface Shipping {
  /** seconds from one pass to the next, and after how many it ends; without it there is one pass */
  repeat?: { every: number; long: number }
  wait: boolean
}

const again = async (memory: ShipMemory, { every, long }: { every: number; long: number }) => {
  const end = performance.now() + long * 1000
  for (;;) {
    const next = performance.now() + every * 1000
    try {
      await shipOnce(loadSettings(), memory)
    } catch (error) {
      checkInterruption()
      // What was begun is looked at anew.
      memory.positions.clear()
      memory.offsite = undefined
      memory.isKnown = false
      say.warn(messageOf(error))
    }
    if (next > end) return
    await sleep(Math.max(next - performance.now(), 0))
  }
}

/**
 * Ships once, or again and again. Throws a Failure: 69 when the service wal, the server or the bucket does not
 * answer, 73 and 74 for BACKUP_DIR, 75 when another process ships, 78 without WAL=on.
 */
export async function ship(settings: Settings, { repeat, wait }: Shipping): Promise<Pass | undefined> {
  const lock = await takeLock('ship.lock', () => 'another backup.ts --ship', wait)
  try {
    return repeat
      ? await again(newShipMemory(), repeat).then(() => undefined)
      : await shipOnce(settings, newShipMemory())
  } finally {
    await lock.dispose()
  }
}
