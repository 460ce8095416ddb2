// Carries out the plans of a release: the phases of a rollout. A release has one app, or several that visitors get
// together.
import { rmSync } from 'node:fs'
import { composeRunOnce } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { listInstances } from '../docker/containers.ts'
import { NEXT_PINS_FILE, type Pin, publishPins, readPins, renderPins } from '../docker/release_pins.ts'
import type { App } from '../docker/stack.ts'
import { replaceFile } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { together } from '../system/concurrency.ts'
import { show } from '../system/run.ts'
import { interruption, shielded } from '../system/signals.ts'
import { pruneAssets, serveAssets } from './assets.ts'
import { entryOf, readHistory, record, trail } from './history.ts'
import { removeJournal } from './journal.ts'
import { type Observation, WorseRelease } from './observe.ts'
import type { DeployPlan } from './plan.ts'
import { buildRelease, clearBuild, pruneReleases, runsAsRoot } from './releases.ts'
import type { Rollout, Target } from './rollout.ts'
import { convergeAll } from './rollout_together.ts'
import { goBack } from './take_back.ts'
import { startVisits, type VisitsWatch } from './visits.ts'

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
  { keep, observation }: { keep: number; observation: Observation },
) {
  const parts = plans.map(part => ({ ...part, visits: startVisits(part.rollout) }))
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
    const moves = parts.map(({ rollout, plan, visits }) => {
      const observed = observation.seconds > 0 && !plan.rollback ? observation : undefined
      return { rollout, target: { ...targetOf(rollout.app, observed), onStarted: visits.look } }
    })
    await inTurn(migrate)
    for (const { visits } of parts) visits.begin()
    await convergeAll(moves, rollout => {
      culprit = rollout
    })
    await inTurn(part => finish(part, keep))
    for (const { rollout } of parts) record(rollout.progress.journal, 'deployed')
    removeJournal()
  } catch (error) {
    const isStopped = interruption.aborted && parts.some(({ rollout }) => rollout.progress.journal.phase === 'observe')
    const guilty = culprit ?? parts[0]!.rollout
    for (const { rollout } of parts) {
      rollout.progress.end(!isStopped && rollout !== guilty)
      if (isStopped || (error instanceof WorseRelease && rollout === guilty)) rollout.progress.journal.takenBack = true
    }
    await shielded(() => goBack(parts, guilty, error))
  }
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

const migrate = async ({ rollout: { app, progress }, plan }: Part) => {
  if (app.migrate.length === 0 || plan.rollback) return
  progress.phase('migrate', app.migrate.join(' '))
  await show(composeRunOnce([...baseFiles(), NEXT_PINS_FILE()], app.service, app.migrate), {
    what: 'the migration',
    hint: 'the migration may have done a part of its work; correct it and push, then run this again',
  })
}

const finish = ({ rollout, visits }: Part, keep: number) => {
  const { progress } = rollout
  progress.phase('tidy')
  return shielded(async () => {
    const [seen] = await together(() => [visits.read(), tidy(rollout, keep)])
    progress.journal.visits = seen
  })
}

// Compose, Docker's DNS and nginx all take such a name.
const rolloutId = ({ service }: App) =>
  `${service}-${new Date().toISOString().replace(/[-:.]/g, '').replace('Z', '').toLowerCase()}`

/** Removes what is not needed any more: never a release that runs, nor the one that the next rollback goes to. */
export async function tidy({ stack, app, progress }: Rollout, keep: number) {
  rmSync(NEXT_PINS_FILE(), { force: true })
  clearBuild()
  const used = (await listInstances(stack.project)).map(({ image }) => image)
  const wasLive = trail([...readHistory(), entryOf(progress.journal, 'deployed')], app.service)
  const removed = await pruneReleases(stack, app, wasLive, used, keep)
  if (removed.length > 0) say.detail(`removed ${removed.join(', ')}`)
  await pruneAssets()
}
