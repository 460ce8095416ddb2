// Carries out the plans of a release: the phases of a rollout. A release has one app, or several that visitors get
// together.
// Long, since each phase, and what a failure in it takes back, has to be read together.
import { rmSync } from 'node:fs'
import { composeRunOnce } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { listInstances } from '../docker/containers.ts'
import { NEXT_PINS_FILE, type Pin, publishPins, readPins, renderPins } from '../docker/release_pins.ts'
import type { App } from '../docker/stack.ts'
import { type Pause, pauseRequests } from '../nginx/pause.ts'
import { replaceFile } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { alongside, together } from '../system/concurrency.ts'
import { show } from '../system/run.ts'
import { Scope } from '../system/scope.ts'
import { interruption, shielded } from '../system/signals.ts'
import { pruneAssets, serveAssets } from './assets.ts'
import { entryOf, readHistory, record, trail } from './history.ts'
import { fleetOf } from './fleet.ts'
import { removeJournal } from './journal.ts'
import { type Observation, WorseRelease } from './observe.ts'
import type { DeployPlan } from './plan.ts'
import { leaveRestorePoint } from './restore_point.ts'
import { buildRelease, clearBuild, listReleases, pruneReleases, runsAsRoot } from './releases.ts'
import type { Rollout, Target } from './rollout.ts'
import { hasMigration } from './stages.ts'
import { bringUp, convergeAll } from './rollout_together.ts'
import { goBack, isCommitted } from './take_back.ts'
import { type DataSwap, swapData, swapDataBack } from './swap_data.ts'
import { startVisits, type VisitsWatch, withRefused } from './visits.ts'

/**
 * The next release: its instances are started with a file of their own, which pins all its apps. Gives what shall be
 * live of each.
 */
export function nextRelease(next: Readonly<Record<string, Pin>>) {
  const pins = { ...readPins(), ...next }
  replaceFile(NEXT_PINS_FILE(), renderPins(pins))
  return (app: App, observation?: Observation): Target => ({
    pin: next[app.service],
    files: [NEXT_PINS_FILE()],
    commit: () => publishPins(pins),
    prove: true,
    observation,
  })
}

interface Planned {
  rollout: Rollout
  plan: DeployPlan
}

interface Part extends Planned {
  visits: VisitsWatch
}

/**
 * Carries out the plans of a release. Until the first switch a failure or a signal leaves the site as it was; after it
 * a signal lets the rollout end, and a failure goes back. Throws a Failure that says which phase failed and why.
 */
export async function executePlans(
  plans: Planned[],
  { keep, observation, pause, data }: { keep: number; observation: Observation; pause: boolean; data?: DataSwap },
) {
  const parts = plans.map(part => ({ ...part, visits: startVisits(part.rollout) }))
  const scope = new Scope()
  let culprit: Rollout | undefined
  const inTurn = async (work: (part: Part) => Promise<unknown>) => {
    for (const part of parts) {
      culprit = part.rollout
      await work(part)
      culprit.progress.end(true)
    }
    culprit = undefined
  }
  try {
    const pins: Record<string, Pin> = {}
    await inTurn(async part => {
      pins[part.rollout.app.service] = await build(part)
    })
    const targetOf = nextRelease(pins)
    let paused: Pause | undefined
    const moveOf = ({ rollout, plan, visits }: Part) => {
      const observed = observation.seconds > 0 && !plan.rollback ? observation : undefined
      const onProved = () => paused?.end(rollout.app.service)
      return { rollout, target: { ...targetOf(rollout.app, observed), onStarted: visits.look, onProved } }
    }
    const moves = parts.map(moveOf)
    if (pause) {
      // Nobody need wait for the start of those that do not migrate.
      await inTurn(async part => {
        if (!hasMigration(part) && !data) await bringUp(moveOf(part))
      })
      paused = await pauseAll(data ? parts : parts.filter(hasMigration), scope)
    }
    await leaveRestorePoint(parts.map(({ rollout }) => rollout))
    await inTurn(migrate)
    const rollouts = parts.map(({ rollout }) => rollout)
    if (data) await swapData(rollouts, data)
    for (const { visits } of parts) visits.begin()
    const onFailure = (rollout: Rollout) => {
      culprit = rollout
    }
    await convergeAll(moves, onFailure, pause)
    await inTurn(part => finish(part, keep, paused?.refused(part.rollout.app.service)))
    for (const { rollout } of parts) record(rollout.progress.journal, 'deployed')
    removeJournal()
  } catch (error) {
    const isStopped = interruption.aborted && parts.some(({ rollout }) => rollout.progress.journal.phase === 'observe')
    const guilty = culprit ?? parts[0]!.rollout
    for (const { rollout } of parts) {
      rollout.progress.end(!isStopped && rollout !== guilty)
      if (isStopped || (error instanceof WorseRelease && rollout === guilty)) rollout.progress.journal.takenBack = true
    }
    if (pause && parts.some(isMigrated) && !parts.some(({ rollout }) => isCommitted(rollout)))
      say.warn(
        'the migration was done, and stays: look whether the release before, which serves again, can live with it',
      )
    if (interruption.aborted && parts.some(({ rollout }) => rollout.progress.journal.phase === 'migrate'))
      say.warn('the migration was stopped, and may have done a part of its work')
    if (data && !parts.some(({ rollout }) => isCommitted(rollout))) await swapDataBack(data.server, data.former)
    // Going back takes a while, and who is live does not change by it.
    if (!parts.some(isSwitching)) await scope.dispose()
    await shielded(() => goBack(parts, guilty, error))
  } finally {
    await scope.dispose()
  }
}

const isSwitching = ({ rollout: { progress } }: Part) => {
  const { phase, phases } = progress.journal
  return phase === 'switch' || phases.switch !== undefined
}

const isMigrated = ({ rollout: { progress } }: Part) => {
  const { phase, phases } = progress.journal
  return phases.migrate !== undefined && phase !== 'migrate'
}

const pauseAll = async (parts: Part[], scope: Scope) => {
  const [first] = parts
  if (!first) return undefined
  const { nginx, progress } = first.rollout
  const services = parts.map(({ rollout }) => rollout.app.service)
  progress.phase('pause', `requests of ${services.join(' and ')} wait in nginx`)
  const paused = scope.use(await pauseRequests(nginx, services))
  progress.end(true)
  return paused
}

const build = async ({ rollout, plan }: Part): Promise<Pin> => {
  const { app, progress, stack } = rollout
  progress.phase('build', plan.image)
  if (plan.commit && !plan.built) await buildRelease(stack, app, plan.image, plan.commit)
  await serveAssets(stack, app, [plan.from, plan.image])
  if (await runsAsRoot(plan.image))
    say.warn(`${app.service} runs as root in its container; give its Dockerfile a line USER (the recipes have one)`)
  const pin = { image: plan.image, rollout: rolloutId(app), network: app.network, fingerprint: app.fingerprint }
  progress.note({ next: pin })
  return pin
}

const migrate = async (part: Part) => {
  if (!hasMigration(part)) return
  const { app, progress, stack } = part.rollout
  progress.phase('migrate', app.migrate.join(' '))
  await fleetOf(stack, app).beginning(() =>
    show(composeRunOnce([...baseFiles(), NEXT_PINS_FILE()], app.service, app.migrate), {
      what: 'the migration',
      hint: 'the migration may have done a part of its work; correct it and push, then run this again',
    }),
  )
}

// `refused`: how many requests have waited in vain, of which no instance knows.
const finish = ({ rollout, visits }: Part, keep: number, refused = 0) => {
  const { progress } = rollout
  progress.phase('tidy')
  return shielded(async () => {
    const seen = await alongside(visits.read, () => tidy(rollout, keep))
    progress.journal.visits = withRefused(seen, refused)
  })
}

// Compose, Docker's DNS and nginx all take such a name.
const rolloutId = ({ service }: App) =>
  `${service}-${new Date().toISOString().replace(/[-:.]/g, '').replace('Z', '').toLowerCase()}`

/** Removes what is not needed any more: never a release that runs, nor the one that the next rollback goes to. */
export async function tidy({ stack, app, progress }: Rollout, keep: number) {
  rmSync(NEXT_PINS_FILE(), { force: true })
  clearBuild()
  const [instances, releases] = await together(() => [listInstances(stack.project), listReleases(stack, app)])
  const used = instances.map(({ image }) => image)
  const wasLive = trail([...readHistory(), entryOf(progress.journal, 'deployed')], app.service)
  const removed = await pruneReleases(releases, wasLive, used, keep)
  const kept = [...used, ...releases.map(({ name }) => name)].filter(name => !removed.includes(name))
  await fleetOf(stack, app).prune(kept)
  if (removed.length === 0) return
  say.detail(`removed ${removed.join(', ')}`)
  await pruneAssets()
}
