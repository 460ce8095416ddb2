// An upgrade to a new major version of PostgreSQL: the new server is filled on a volume of its own, beside the old one,
// which serves until the switch and is kept for a way back.
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { restart } from '../docker/commands.ts'
import { readInstance } from '../docker/containers.ts'
import { watchService } from '../docker/container_events.ts'
import type { Stack } from '../docker/stack.ts'
import type { Lost } from '../postgres/bring_back.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { noteBeginning, readUpgradeNote } from '../postgres/upgrade_note.ts'
import { limitKept, needsRestart, prepareServer, systemSettings } from '../postgres/replication.ts'
import { audit } from '../system/audit.ts'
import { changeSettings } from '../system/env_file.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import { type Planned, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { fillNewServer } from './fill.ts'
import { startNewServer } from './new_server.ts'
import { pauseForServer } from '../nginx/pause_for_server.ts'
import { openOldServer } from './old_server.ts'
import { changeFor, planUpgrade, type UpgradePlan, type UpgradeRequest, type UpgradeWork } from './plan.ts'
import { discard, pgdataOf, recoverChange } from './switch.ts'
import { announced } from './tell_upgrade.ts'

export interface UpgradeResult {
  result: 'upgraded' | 'undone'
  from: number
  to: number
  /** the volume that is kept for a way back */
  kept: string
  /** in which the rows of this many tables were compared, and found the same */
  tables: number
  rows: number
  lost: Lost[]
  /** seconds in which requests waited: for the old server to start anew, and at the switch */
  waited: { restart: number; switch: number }
  /** spent in each step */
  seconds: Record<string, number>
}

/** Starts the old server anew when it has to be, so that it tells what is written to it. */
const restartOld = async ({ stack, settings, old, data, plan }: UpgradeWork) => {
  if (!plan.restart) return { old, waited: 0 }
  await prepareServer(old)
  data.step('restart', `${old.name}, so that it tells what is written to it; requests wait`)
  const began = performance.now()
  const pause = await pauseForServer(stack)
  const watch = watchService(stack.project, 'postgres')
  try {
    await shielded(async () => {
      await capture(restart(old.id), { what: `restarting ${old.name}` })
      const { started } = await readInstance(old.id)
      await watch.untilHealthy(old.id, old.name, 120, Date.parse(started))
    })
  } finally {
    watch.stop()
    await pause.dispose()
  }
  const again = await openSessions(await findServer(stack.project, settings))
  if (await needsRestart(again))
    throw new Failure('the old server does not tell what is written to it, although it was started anew', {
      hint: 'is wal_level set on its command line (docker-compose.override.yml)? --window upgrades without it',
    })
  return { old: again, waited: (performance.now() - began) / 1000 }
}

const execute = async (work: UpgradeWork): Promise<UpgradeResult> => {
  const { change, settings, plan, data } = work
  audit('upgrade of PostgreSQL', { from: change.former, to: change.next })
  // Whoever says `docker compose up` meanwhile gets the old server, whatever docker-compose.yml names.
  changeSettings(change.former.settings)
  if (plan.way === 'replication') noteBeginning({ ...change, had: await systemSettings(work.old) })
  const { old, waited } = plan.way === 'replication' ? await restartOld(work) : { old: work.old, waited: 0 }
  const next = { ...change.next, pgdata: await pgdataOf(change.next) }
  // The network that it had went with the old server's container.
  const server = plan.restart ? await startNewServer(settings, next, old) : work.server
  // Later than the archive, which sets it when the old server is started anew.
  if (plan.way === 'replication') await limitKept(old, plan.keeps)
  const filled = await fillNewServer({ ...work, old, server })
  return {
    result: 'upgraded',
    from: change.former.version,
    to: change.next.version,
    kept: change.former.volume,
    ...filled,
    waited: { restart: waited, switch: filled.waited },
    seconds: data.seconds(),
  }
}

/**
 * Proves that the server can be upgraded, and plans it. Gives undefined when it has the version of its image. Throws a
 * Failure: 65 for rows that differ, 69 without a server, 74 without room, 75 for a lock, 78 for an image that does not
 * do.
 */
export async function openUpgrade(
  stack: Stack,
  settings: Settings,
  request: UpgradeRequest & { oldImage: string | undefined },
  wait: boolean,
): Promise<Planned<UpgradePlan, UpgradeResult> | undefined> {
  const scope = new Scope()
  try {
    const data = scope.use(await takeDataLock('upgrading PostgreSQL', wait))
    scope.use(await takeDeployLock(wait))
    await recoverChange(stack, settings)
    const { server: old, ...own } = await openOldServer(stack, settings, request.oldImage)
    const change = await changeFor(settings, own)
    if (!change) {
      await scope.dispose()
      return undefined
    }
    // Once the switch is made, or taken back, there is nothing to discard.
    const giveUp = async () => {
      if (!readUpgradeNote().under_way) return
      await discard(stack, settings, change).catch((error: unknown) =>
        say.warn(`not all is in order: ${messageOf(error)}; run it again`),
      )
    }
    scope.use({ dispose: giveUp })
    const prepared = await planUpgrade(stack, settings, old, change, data, request)
    const { former, next } = change
    const about = { kind: 'upgrade', from: former.version, to: next.version, kept: former.volume } as const
    const executePlan = () => execute({ ...prepared, stack, settings, old, data })
    return {
      plan: prepared.plan,
      execute: () => announced(settings, about, executePlan),
      dispose: () => scope.dispose(),
    }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
