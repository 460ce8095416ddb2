// Makes a base backup: it gets its name when it was verified, and when the WAL that it needs has been received.
import { type Base, basesIn, chainsOf, readBackupManifest } from './bases.ts'
import { baseScript, findReceiver, listSegments, missingSegments, type Reached, readReached } from './receiver.ts'
import { lsnOf, positionOf } from './positions.ts'
import { captureInServer, type Server } from '../postgres/server.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { size, timestamp } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'
import type { DataWork } from '../system/work_lock.ts'

/** pg_verifybackup reads tar files from there on. */
const LEAST = 180_000
/** In milliseconds: what a base needs of the WAL is received a moment after it was written, or not at all. */
const PATIENCE = 60_000

/** The bases that lie beside the database, oldest first. */
export async function listBases(receiver: Server) {
  return basesIn(await captureInServer(receiver, baseScript(receiver, 'list')))
}

/** Whether a server is of a version that base backups are made of; one that is not known yet may be. */
export function canBeArchived(version: number | undefined) {
  return version === undefined || version >= LEAST
}

const check = ({ version, server, tablespaces }: Reached) => {
  if (!canBeArchived(version))
    throw badConfig(
      `PostgreSQL is ${server}, and the archive needs 18 or later (incremental base backups, verified as they lie)`,
      'tsx scripts/postgres_upgrade.ts, or WAL=off in .env: the nightly sets are made with any version',
    )
  if (tablespaces > 0)
    throw badConfig(
      'the server has tablespaces of its own, which a base backup here does not hold',
      'move what is in them to pg_default (ALTER … SET TABLESPACE), and drop them; or WAL=off in .env',
    )
}

/**
 * The base that the next one adds to: the newest of the newest chain, if the WAL from there on has no gap. Undefined
 * when the next one must be a full one.
 */
export async function previousFor(receiver: Server, reached: Reached): Promise<Base | undefined> {
  const newest = chainsOf(await listBases(receiver))
    .at(-1)
    ?.bases.at(-1)
  if (!newest || newest.timeline !== reached.timeline) return undefined
  const [from, to] = [positionOf(newest.startLsn) ?? 0, reached.received ?? reached.flushed]
  const missing = missingSegments(await listSegments(receiver), newest.timeline, from, to, reached.segment)
  return missing.length === 0 ? newest : undefined
}

/** Waits until the WAL up to a position is received. Throws a Failure when it is not. */
const untilReceived = async (receiver: Server, position: number) => {
  const end = performance.now() + PATIENCE
  for (;;) {
    const reached = await readReached(receiver)
    if ((reached.received ?? 0) >= position) return reached
    if (performance.now() > end)
      throw new Failure('the WAL that the base backup needs was not received within a minute', {
        hint: 'what does the service say? scripts/logs.ts wal',
      })
    await sleep(200)
  }
}

const damaged = (missing: string[]) =>
  new Failure(`the base backup is worth nothing: of the WAL that it needs ${missing.join(', ')} was not received`, {
    exitCode: EXIT.data,
    hint: 'the next one is a full one; if it happens again look at the log: scripts/logs.ts wal',
  })

const make = async (receiver: Server, previous: Base | undefined): Promise<Base> => {
  const reached = await readReached(receiver)
  const started = new Date()
  const name = timestamp(started)
  const said = await capture(baseScript(receiver, 'make', name, ...(previous ? [previous.name] : [])), {
    what: 'the base backup',
    hint: 'its lines above say why; the former ones are untouched',
  })
  const manifest = readBackupManifest(said)
  const bytes = Number(/"Size": (\d+)\n?$/.exec(said)?.[1])
  const [from, to] = manifest ? [positionOf(manifest.startLsn), positionOf(manifest.stopLsn)] : []
  if (!manifest || from === undefined || to === undefined || !Number.isSafeInteger(bytes))
    throw new Failure('the manifest of the base backup is not understood', { exitCode: EXIT.data })
  const { at, flushed } = await untilReceived(receiver, to)
  const missing = missingSegments(await listSegments(receiver), manifest.timeline, from, to, reached.segment)
  if (missing.length > 0) throw damaged(missing)
  return {
    version: 1,
    name,
    ...(previous
      ? { kind: 'incremental', previous: previous.name, chain: previous.chain }
      : { kind: 'full', chain: name }),
    ...manifest,
    startedAt: started.toISOString(),
    endedAt: at,
    endLsn: lsnOf(flushed),
    bytes,
    server: reached.server,
    segment: reached.segment,
  }
}

/**
 * Makes a base backup, an incremental one if it may be and can. Only under the data lock. Throws a Failure: 69 when the
 * service wal or the server does not answer, 78 for a server that this is not made for.
 */
export async function makeBase(settings: Settings, work: DataWork, wanted: 'full' | 'incremental'): Promise<Base> {
  const receiver = await findReceiver(settings)
  const reached = await readReached(receiver)
  check(reached)
  const previous = wanted === 'full' ? undefined : await previousFor(receiver, reached)
  work.step('base', `${previous ? `what has changed since ${previous.name}` : 'all of the data'}, verified`)
  const base = await make(receiver, previous)
  await capture(baseScript(receiver, 'publish', base.name), { input: `${JSON.stringify(base, null, 2)}\n` })
  say.detail(`${base.name}, ${base.kind}, ${size(base.bytes)}`)
  return base
}
