// Brings a moment back: the database as it was then, in a throw-away server without a network. The live server is only
// asked to go on with its log.
// Long, since a moment may lie in three places: beside the database, where the archive put it aside, and in BACKUP_DIR.
import { maintenance } from '../postgres/databases.ts'
import { openRecovered, type Origin, type Recovery, type RecoveryTarget } from '../postgres/recovered.ts'
import { loginsOf, type Server, sql } from '../postgres/server.ts'
import { positionOf } from '../archive/positions.ts'
import { imageFor } from '../postgres/server_image.ts'
import { chosenFor, stageChain } from '../archive/stage_chain.ts'
import { shippedWindows, type Window } from '../archive/windows.ts'
import type { Settings } from '../system/settings.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import type { Disposable } from '../system/scope.ts'
import { momentText } from '../system/site_time.ts'
import { chooseArchive, type Reach, reachesOf, reachText, targetText, timeOf } from './moments.ts'
import { archiveFolder, readArchives } from './read_archive.ts'

export interface RecoveredMoment extends Pick<Recovery, 'kept' | 'dropped' | 'bases' | 'wal'> {
  target: RecoveryTarget
  seconds: number
}

/** What was brought back, until it is disposed of. */
export interface Moment extends Disposable {
  /** the throw-away server that has it */
  server: Server
  moment: RecoveredMoment
}

const WAIT = String.raw`
set avril.lsn to :'lsn';
do $$ begin
  for i in 1..300 loop
    exit when exists (select from pg_replication_slots
      where slot_name = 'avril_wal' and restart_lsn >= current_setting('avril.lsn')::pg_lsn);
    perform pg_sleep(0.05);
  end loop;
end $$;
select exists (select from pg_replication_slots where slot_name = 'avril_wal' and restart_lsn >= :'lsn');
`

/**
 * Has the live server commit something and the archive receive it: what comes before is in the archive then, and a
 * recovery finds a transaction to stop at. Gives whether it did. Throws a Failure (64) for a place still to come.
 */
const catchUp = async (live: Server, target: RecoveryTarget) => {
  const database = maintenance(live)
  await sql(live, database, 'select pg_current_xact_id()')
  const lsn = await sql(live, database, 'select pg_current_wal_insert_lsn()')
  if (target.kind === 'lsn' && !target.at && (positionOf(target.lsn) ?? 0) > (positionOf(lsn) ?? Infinity))
    throw usage(
      `${targetText(target)} is still to come: the server is at ${lsn}`,
      'nothing was touched; those of the deploys stand in .state/history.jsonl (restorePoint), and --at takes a ' +
        'time, too',
    )
  return (await sql(live, database, WAIT, { lsn })) === 't'
}

/** A moment that is not beside the database. */
class NotHere extends Error {}

const orNotHere = <T>(work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw new NotHere('', { cause: error })
  }
}

const unreached = (recovered: Recovery, isCaughtUp: boolean, reaches: Reach[]) =>
  new Failure(
    isCaughtUp
      ? `the WAL beside the database is damaged: behind ${endText(recovered)} it cannot be read`
      : `the archive is behind the live server: the last that it has is of ${endText(recovered)}`,
    {
      exitCode: EXIT.data,
      hint:
        `nothing was touched; ${reachText(reaches)}; ` +
        (isCaughtUp ? 'look at its disk (dmesg)' : 'does its service run? scripts/status.ts'),
    },
  )

// By what lies beside the database, in the clear.
const recoverHere = async (
  throwAway: Omit<Origin, 'folder'>,
  live: Server | undefined,
  target: RecoveryTarget,
  settings: Settings,
) => {
  const origin = { ...throwAway, folder: orNotHere(() => archiveFolder(settings)) }
  const isCaughtUp = live !== undefined && (await catchUp(live, target))
  let reaches: Reach[] = []
  let hasEnded = false
  const recovered = await openRecovered(origin, target, async container => {
    const archives = await readArchives(container)
    reaches = reachesOf(...archives)
    const { archive, bases } = orNotHere(() => chooseArchive(archives, target))
    hasEnded = archive.ended === true
    return { bases: bases.map(({ name }) => name), place: archive.place }
  })
  // The last that there is before a hole may be well before it.
  const time = target.kind === 'time' ? target.time : undefined
  const isAtHole = reaches.some(({ from, to }) => time && to && from <= time && time <= to)
  if (target.kind === 'end' && live && !isCaughtUp)
    say.warn(`the archive is behind the live server: the last that it has is of ${endText(recovered)}`)
  if (recovered.reached || !live || hasEnded || isAtHole || target.kind === 'end') return recovered
  await recovered.dispose()
  throw unreached(recovered, isCaughtUp, reaches)
}

const endText = ({ kept }: Recovery) => (kept ? momentText(kept) : 'its base')

/** Of the time, what BACKUP_DIR has. */
const recoverOlder = async (
  origin: Omit<Origin, 'folder'>,
  target: RecoveryTarget,
  time: Date,
  { settings, keyFile }: Means,
) => {
  const staged = await stageChain({ settings, image: origin.image, keyFile }, chosenFor(settings, time))
  try {
    // Before an upgrade it was of another version.
    const image = await imageFor(staged.version, origin.image)
    return await openRecovered({ ...origin, image, folder: staged.folder }, target, async () => ({
      bases: staged.bases,
    }))
  } finally {
    await staged.dispose()
  }
}

const lastOf = (windows: Window[]) =>
  windows.length === 0 ? undefined : new Date(Math.max(...windows.map(({ to }) => Date.parse(to))))

/** What older moments need. */
export interface Means {
  settings: Settings
  /** the file with the private key */
  keyFile: string | undefined
}

/**
 * Recovers a moment in a throw-away server: from beside the database, or an older one from BACKUP_DIR. Only under the
 * data lock. Throws a Failure: 64 or 65 when there is no such moment, with those that there are; 74 when it does not
 * fit.
 */
export async function recoverMoment(
  { image, project, volume }: Pick<Origin, 'image' | 'project' | 'volume'>,
  live: Server | undefined,
  target: RecoveryTarget,
  means: Means,
): Promise<Moment> {
  const { settings } = means
  const begun = performance.now()
  const origin = { project, image, volume, logins: loginsOf(settings) }
  const recovered = await recoverHere(origin, live, target, settings).catch((error: unknown) => {
    if (!(error instanceof NotHere)) throw error
    const windows = shippedWindows(settings)
    const time = target.kind === 'end' ? lastOf(windows) : timeOf(target)
    if (time === undefined || windows.length === 0) throw error.cause
    return recoverOlder(origin, target, time, means)
  })
  const { server, reached, kept, dropped, bases, wal, dispose } = recovered
  if (!reached && target.kind !== 'end')
    say.warn(`the archive ends before: all of it is kept, up to ${endText(recovered)}`)
  const spent = Number(((performance.now() - begun) / 1000).toFixed(1))
  return { server, moment: { target, kept, dropped, bases, wal, seconds: spent }, dispose }
}
