// The way back from an upgrade: the former server serves again, with the data that it had.
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import type { Stack } from '../docker/stack.ts'
import {
  type Cluster,
  type ClusterChange,
  noteBeginning,
  readUpgradeNote,
  volumeExists,
} from '../postgres/upgrade_note.ts'
import { audit } from '../system/audit.ts'
import { usage } from '../system/errors.ts'
import { type Planned, Scope } from '../system/scope.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { proveSettable, serverUnder } from './images.ts'
import { ownCluster } from './old_server.ts'
import { pauseForServer } from '../nginx/pause_for_server.ts'
import { finishChange, type Finished, settleWayBack, switchTo } from './switch.ts'
import { announced } from './tell_upgrade.ts'
import type { UpgradeResult } from './upgrade.ts'

export interface UpgradeUndoPlan {
  from: { version: number; volume: string }
  to: { version: number; volume: string }
  /** when the one that comes back was put aside */
  since: Date
}

/** A way back, with the lock that it holds until it is disposed of. */
export interface UpgradeUndo extends Planned<UpgradeUndoPlan, UpgradeResult> {
  data: DataWork
}

/** What .env is to say for a cluster: what it said, unless docker-compose.yml names another image since then. */
const settingsOf = async ({ image, volume, settings }: Cluster) => {
  if ((await serverUnder(settings)).image === image) return settings
  const pinned = { POSTGRES_IMAGE: image, POSTGRES_VOLUME: volume }
  await proveSettable({ image, volume, settings: pinned })
  return pinned
}

/** The change back to the cluster that was put aside last, and the container that ends by it. */
const changeBack = async (stack: Stack, settings: Settings) => {
  const [kept] = readUpgradeNote().kept
  if (!kept || !(await volumeExists(kept.volume)))
    throw usage('there is no former server to go back to', 'an upgrade keeps its volume for FORMER_DAYS')
  const { since, ...next } = kept
  const { id, ...own } = await ownCluster(stack)
  const now = { POSTGRES_IMAGE: settings.POSTGRES_IMAGE ?? '', POSTGRES_VOLUME: own.volume }
  const change: ClusterChange = {
    since: new Date().toISOString(),
    former: { ...own, settings: now },
    next: { ...next, settings: await settingsOf(next) },
  }
  return { change, id, since: new Date(since) }
}

const goBack = async (stack: Stack, data: DataWork, change: ClusterChange, id: string): Promise<UpgradeResult> => {
  const { former, next } = change
  audit('way back from an upgrade of PostgreSQL', { from: former, to: next })
  noteBeginning(change)
  const began = performance.now()
  data.step('switch', `to PostgreSQL ${next.version}; requests wait`)
  const pause = await pauseForServer(stack)
  try {
    await switchTo(stack, change, id, false)
    await finishChange(stack, change, data.step)
  } finally {
    await pause.dispose()
  }
  const waited = { restart: 0, switch: (performance.now() - began) / 1000 }
  const nothing = { tables: 0, rows: 0, lost: [] }
  const told = { from: former.version, to: next.version, kept: former.volume, waited, ...nothing }
  return { result: 'undone', ...told, seconds: data.seconds() }
}

/**
 * Plans to go back to the cluster that was put aside last; `listeners` are the settings of who hears of it, when that
 * is not told as something else. Gives what a killed way back had begun when that was brought to its end by this one.
 * Throws a Failure (64) when none is kept.
 */
export async function openUpgradeUndo(
  stack: Stack,
  listeners: Settings | undefined,
  wait: boolean,
): Promise<UpgradeUndo | Finished> {
  const scope = new Scope()
  try {
    const data = scope.use(await takeDataLock('going back to the former PostgreSQL', wait))
    scope.use(await takeDeployLock(wait))
    const done = await settleWayBack(stack, loadSettings())
    if (done) {
      await scope.dispose()
      return done
    }
    // Which may have changed them.
    const { change, id, since } = await changeBack(stack, loadSettings())
    const [from, to] = [change.former, change.next].map(({ version, volume }) => ({ version, volume }))
    const { former, next } = change
    const about = { kind: 'undo', from: former.version, to: next.version, kept: former.volume } as const
    const work = () => shielded(() => goBack(stack, data, change, id))
    const execute = () => (listeners ? announced(listeners, about, work) : work())
    return { plan: { from: from!, to: to!, since }, data, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
