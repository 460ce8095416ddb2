// The whole server as it was at a moment, in the place of the one of now: its data become those of the site by the
// switch to another volume that an upgrade makes, and the former volume is kept for a way back. It needs no server that
// runs, and writes nothing to the data that are there.
// Long, since what is there, what is to be, and the way from one to the other are told here once.
import { isArchived } from '../archive/receiver.ts'
import { makeBaseAtOnce } from '../archive/due_base.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { usersOf } from '../docker/restart.ts'
import type { Stack } from '../docker/stack.ts'
import { pauseForServer } from '../nginx/pause_for_server.ts'
import type { RecoveryTarget } from '../postgres/recovered.ts'
import { inServer, loginsOf, openSessions, psql, type Server } from '../postgres/server.ts'
import { majorOf } from '../postgres/server_image.ts'
import { countRows } from '../postgres/snapshot.ts'
import { admin, databaseExists } from '../postgres/databases.ts'
import { type ClusterChange, makeVolume, noteBeginning, readUpgradeNote, volumeName } from '../postgres/upgrade_note.ts'
import { targetText } from '../restore/moments.ts'
import { audit } from '../system/audit.ts'
import { badConfig, Failure, messageOf } from '../system/errors.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import { say } from '../system/progress.ts'
import { attempt } from '../system/run.ts'
import { type Planned, Scope } from '../system/scope.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { checkInterruption, shielded } from '../system/signals.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { dataFolderOf, proveSettable, serverUnder } from './images.ts'
import { recoverServer, rolesOf, type ServerOfThen } from './recover_server.ts'
import { discard, finishChange, type Finished, pgdataOf, serving, recoverChange, switchTo } from './switch.ts'
import { openUpgradeUndo, type UpgradeUndoPlan } from './undo.ts'

/** What can be said of the server of now: "cannot be read" where some of its data are damaged. */
type OwnState = 'serves' | 'cannot be read' | 'does not answer' | 'does not run' | 'is not there'

export interface WholeServerPlan extends ServerOfThen {
  /** of then, for people */
  source: string
  /** of the site */
  database: string
  from: { version: number; volume: string; state: OwnState }
  to: { version: number; volume: string }
  /** the rows of the site's database now; undefined when its server does not tell */
  now: Record<string, number> | undefined
  /** roles of then that the server of now does not have, as far as it tells */
  returning: string[]
  restarts: string[]
}

export interface WholeServerResult {
  result: 'restored' | 'undone'
  /** what it is of, or the volume that serves again */
  from: string
  database: string
  /** the volume that is kept for a way back */
  kept: string
  /** seconds in which requests waited */
  waited: number
  /** the base with which the archive begins anew; null without one */
  base: string | null
  /** why there is none, when there should be */
  trouble: string | null
  /** spent in each step */
  seconds: Record<string, number>
}

export interface WholeServerRequest {
  target: RecoveryTarget
  keyFile: string | undefined
}

/** The server that is there, whatever is left of it. */
interface Own {
  id: string | undefined
  cluster: ClusterChange['former']
  state: OwnState
  live: Server | undefined
}

// One that cannot commit is no help.
const openLive = async (server: Server) => {
  if ((await attempt(inServer(server, 'pg_isready', '--quiet'))).code !== 0) return undefined
  const live = await openSessions(server)
  await admin(live, 'select pg_current_xact_id()')
  return live
}

const lookAtOwn = async (stack: Stack, settings: Settings): Promise<Own> => {
  const named = await serverUnder({})
  const there = await serving(stack)
  const [image, volume] = [there?.image ?? named.image, there?.volume || named.volume]
  const own = { POSTGRES_IMAGE: settings.POSTGRES_IMAGE ?? '', POSTGRES_VOLUME: volume }
  const cluster = { image, volume, version: await majorOf(image), settings: own }
  if (!there?.running)
    return { id: undefined, cluster, state: there ? 'does not run' : 'is not there', live: undefined }
  const server = { id: there.id, name: there.name, image, ...loginsOf(settings) }
  const live = await openLive(server).catch(() => undefined)
  return { id: there.id, cluster, state: live ? 'serves' : 'does not answer', live }
}

const changeTo = async (settings: Settings, { cluster, id }: Own, { target }: WholeServerRequest) => {
  const since = new Date()
  const { version } = cluster
  const { image } = await serverUnder({})
  const volume = volumeName(settings.COMPOSE_PROJECT_NAME, version, since)
  const next = { image, volume, version, settings: { ...cluster.settings, POSTGRES_VOLUME: volume } }
  await proveSettable(next)
  const change: ClusterChange = { since: since.toISOString(), former: cluster, next, moment: targetText(target) }
  return id === undefined ? { ...change, stopped: true as const } : change
}

// A recovery puts the data where the image looks for them.
const checkPlace = async (next: ClusterChange['next']) => {
  const [wanted, own] = [await pgdataOf(next), await dataFolderOf(next.image)]
  if (wanted === own) return
  throw badConfig(
    `docker-compose.override.yml has the data of postgres in ${wanted}, and its image in ${own}`,
    'nothing was touched; take PGDATA out of docker-compose.override.yml, and run this again',
  )
}

/** The same to a server of another version, which then was. */
const ofThen = async ({ next, ...change }: ClusterChange, image: string, version: number) => {
  if (image === next.image) return { ...change, next }
  const other = { ...next, image, version, settings: { ...next.settings, POSTGRES_IMAGE: image } }
  await proveSettable(other)
  return { ...change, next: other }
}

/** Its rows, where they can be read. */
const rowsNow = async ({ live, state }: Own): Promise<{ now: WholeServerPlan['now']; state: OwnState }> => {
  if (!live) return { now: undefined, state }
  try {
    return { now: (await databaseExists(live, live.database)) ? await countRows(live, live.database) : {}, state }
  } catch {
    checkInterruption()
    return { now: undefined, state: 'cannot be read' }
  }
}

/** Somebody may have lost his login since then. */
const returningRoles = async ({ live }: Own, { roles }: ServerOfThen) => {
  const now = live && (await rolesOf(live).catch(() => undefined))
  checkInterruption()
  return now === undefined ? [] : roles.filter(it => !now.includes(it))
}

/** What the archive lacks from here on is only told: the site is up. */
const beginArchive = async (settings: Settings, data: DataWork) => {
  if (!isArchived(settings)) return { base: null, trouble: null }
  try {
    return { base: await makeBaseAtOnce(settings, data), trouble: null }
  } catch (error) {
    return { base: null, trouble: messageOf(error) }
  }
}

const switchOver = (stack: Stack, change: ClusterChange, { id, live }: Own, data: DataWork) =>
  shielded(async () => {
    // What it would write when it is stopped it writes while it serves.
    if (live) await attempt(psql(live, 'template1', '--command', 'checkpoint'))
    data.step('switch', 'to the recovered server; requests wait')
    const began = performance.now()
    const pause = await pauseForServer(stack)
    try {
      // Its data have their name already: the volume is new.
      await switchTo(stack, change, id, false)
      await finishChange(stack, change, data.step).catch((error: unknown) => {
        throw new Failure(
          `the whole server is restored, but an app did not get healthy after it: ${messageOf(error)}`,
          {
            cause: error,
            hint: 'to go back: scripts/backup_restore.ts --whole-server --undo',
          },
        )
      })
    } finally {
      await pause.dispose()
    }
    return (performance.now() - began) / 1000
  })

/**
 * Recovers the whole server of a moment in a volume of its own, proves it, and plans to put it in the place of the one
 * of now. Gives what a killed run has left when that was brought to its end by this one. Throws a Failure: 64 or 65
 * when there is no such moment, 65 for damage, 74 when it does not fit, 75 for a lock, 78 for settings that do not do.
 */
export async function openWholeServer(
  stack: Stack,
  settings: Settings,
  request: WholeServerRequest,
  wait: boolean,
): Promise<Planned<WholeServerPlan, WholeServerResult> | Finished> {
  const scope = new Scope()
  try {
    const data = scope.use(await takeDataLock('restoring the whole server', wait))
    scope.use(await takeDeployLock(wait))
    const finished = await recoverChange(stack, settings, true)
    if (finished) {
      const { trouble } = await beginArchive(loadSettings(), data)
      if (trouble !== null) say.warn(`the archive has no base of this server yet: ${trouble}`)
      await scope.dispose()
      return { finished }
    }
    data.step('open')
    const own = await lookAtOwn(stack, settings)
    const begun = await changeTo(settings, own, request)
    // Once the switch is made, or taken back, there is nothing to discard.
    const giveUp = async () => {
      if (readUpgradeNote().under_way) await discard(stack, settings, begun)
    }
    scope.use({
      dispose: () => giveUp().catch((error: unknown) => say.warn(`not all is in order: ${messageOf(error)}`)),
    })
    noteBeginning(begun)
    const { project } = stack
    const { image, volume } = begun.next
    await makeVolume(project, volume)
    const check = async (image: string, version: number) => {
      await checkPlace((await ofThen(begun, image, version)).next)
    }
    const { target, keyFile } = request
    const { live } = own
    const then = await recoverServer({ project, image, volume, live, target, settings, keyFile, data, check })
    const change = await ofThen(begun, then.image, then.version)
    noteBeginning(change)
    const { now, state } = await rowsNow(own)
    const plan: WholeServerPlan = {
      ...then,
      source: targetText(target),
      database: settings.POSTGRES_DB,
      from: { version: own.cluster.version, volume: own.cluster.volume, state },
      to: { version: then.version, volume },
      now,
      returning: await returningRoles(own, then),
      restarts: (await usersOf(stack, 'postgres')).map(({ name }) => name),
    }
    const restore = async (): Promise<WholeServerResult> => {
      audit('restore of the whole server', { moment: plan.source, former: change.former, next: change.next })
      const waited = await switchOver(stack, change, own, data)
      const archive = await beginArchive(loadSettings(), data)
      const told = { from: plan.source, database: plan.database, kept: change.former.volume, waited }
      return { result: 'restored', ...told, ...archive, seconds: data.seconds() }
    }
    const execute = async () => {
      const about = { kind: 'whole-server', from: plan.source, database: plan.database, former: change.former.volume }
      return tellAfter(await runBefore('restore', settings, about), restore, ({ base }) => ({ base }))
    }
    return { plan, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}

/**
 * Plans to go back to the volume that was put aside last, or gives what a killed way back had begun. Throws a Failure
 * (64) when none is kept.
 */
export async function openWholeServerUndo(
  stack: Stack,
  settings: Settings,
  wait: boolean,
): Promise<Planned<UpgradeUndoPlan, WholeServerResult> | Finished> {
  const planned = await openUpgradeUndo(stack, undefined, wait)
  if ('finished' in planned) return planned
  const { plan, dispose } = planned
  const { POSTGRES_DB: database } = settings
  const undo = async (): Promise<WholeServerResult> => {
    const { kept, waited } = await planned.execute()
    const archive = await beginArchive(loadSettings(), planned.data)
    const told = { from: plan.to.volume, database, kept, waited: waited.switch }
    return { result: 'undone', ...told, ...archive, seconds: planned.data.seconds() }
  }
  const execute = async () => {
    const about = { kind: 'undo', from: plan.to.volume, database, former: plan.from.volume }
    return tellAfter(await runBefore('restore', settings, about), undo, ({ base }) => ({ base }))
  }
  return { plan, execute, dispose }
}
