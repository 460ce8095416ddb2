// Carries out a plan: the phases of a rollout, and the way back.
import { rmSync } from 'node:fs'
import { COMPOSE_FILE, composeRunOnce, removeContainers } from '../docker/commands.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { replaceFile } from '../system/files.ts'
import { entryOf, readHistory, record, trail } from './history.ts'
import { listInstances } from '../docker/containers.ts'
import { removeJournal } from './journal.ts'
import { liveMap, readLive } from '../nginx/live_map.ts'
import { NEXT_PINS_FILE, type Pin, pinFiles, publishPins, readPins, renderPins } from '../docker/release_pins.ts'
import type { DeployPlan } from './plan.ts'
import { buildRelease, pruneReleases, runsAsRoot } from './releases.ts'
import { capture, show } from '../system/run.ts'
import { converge, type Rollout, type Target } from './rollout.ts'
import { say } from '../system/progress.ts'
import { shielded } from '../system/signals.ts'
import type { App } from '../docker/stack.ts'

/** The next release: its instances are started with a pin file of their own. */
export function nextTarget(app: App, pin: Pin, reload: boolean): Target {
  const pins = { ...readPins(), [app.service]: pin }
  replaceFile(NEXT_PINS_FILE(), renderPins(pins))
  return { pin, files: [NEXT_PINS_FILE()], commit: () => publishPins(pins), reload, prove: true }
}

/** The release that Compose knows as live. */
const liveTarget = (app: App, reload: boolean): Target => ({
  pin: readPins()[app.service],
  files: pinFiles(),
  commit: () => {},
  reload,
  prove: false,
})

/**
 * Carries out a plan. Until the first switch a failure or a signal leaves the site as it was; after it a signal lets
 * the rollout end, and a failure goes back. Throws a Failure that says which phase failed and why.
 */
export async function executePlan(rollout: Rollout, plan: DeployPlan, keep: number) {
  const { app, progress } = rollout
  try {
    progress.phase('build', plan.image)
    if (plan.commit && !plan.built) await buildRelease(rollout.stack, app, plan.image, plan.commit)
    if (await runsAsRoot(plan.image))
      say.warn(`${app.service} runs as root in its container; give its Dockerfile a line USER (the recipes have one)`)
    const pin = { image: plan.image, rollout: rolloutId(app), network: app.network, fingerprint: app.fingerprint }
    progress.note({ next: pin })
    const target = nextTarget(app, pin, false)
    if (app.migrate.length > 0 && !plan.rollback) {
      progress.phase('migrate', app.migrate.join(' '))
      const hint = 'the migration may have done a part of its work; correct it and push, then run this again'
      await show(composeRunOnce([COMPOSE_FILE, ...target.files], app.service, app.migrate), {
        what: 'the migration',
        hint,
      })
    }
    await converge(rollout, target)
    progress.phase('tidy')
    await shielded(() => tidy(rollout, keep))
    progress.end(true)
    record(progress.journal, 'deployed')
    removeJournal()
  } catch (error) {
    progress.end(false)
    await shielded(() => goBack(rollout, error))
  }
}

// Compose, Docker's DNS and nginx all take such a name.
const rolloutId = ({ service }: App) =>
  `${service}-${new Date().toISOString().replace(/[-:.]/g, '').replace('Z', '').toLowerCase()}`

const goBack = async (rollout: Rollout, error: unknown) => {
  const { app, progress } = rollout
  const { phase, next } = progress.journal
  // From here on Compose's own file names the new release: nothing is left to go back from.
  if (next && readPins()[app.service]?.rollout === next.rollout) return finishLate(rollout, error)
  let outcome = 'the site is as it was'
  try {
    if (next) await takeBack(rollout, false)
    progress.end(true)
    record({ ...progress.journal, phase }, 'failed', messageOf(error))
    removeJournal()
  } catch (problem) {
    outcome = `going back failed too (${messageOf(problem)}); run it again to put the rest in order`
  }
  if (!(error instanceof Failure)) throw error
  throw new Failure(`${app.repository} was not deployed, phase ${phase}: ${error.message}`, {
    exitCode: error.exitCode,
    cause: error,
    hint: `${outcome}; ${error.hint ?? 'correct the cause, then run this again'}`,
  })
}

const finishLate = (rollout: Rollout, error: unknown) => {
  const { app, progress } = rollout
  throw new Failure(
    `${app.repository} is deployed, but phase ${progress.journal.phase} did not end: ${messageOf(error)}`,
    {
      hint: 'the new release serves; run it again (with --if-change) to put the rest in order',
      cause: error,
    },
  )
}

/** Goes back to what Compose knows as live; removes what was begun. */
export async function takeBack(rollout: Rollout, reload: boolean) {
  const { app, stack } = rollout
  const target = liveTarget(app, reload)
  const begun = async () =>
    (await listInstances(stack.project, app.service)).filter(it => it.oneOff || it.rollout !== target.pin?.rollout)
  const before = target.pin ? liveMap(app, [target.pin.rollout]) : undefined
  if (readLive(app.service) !== before || reload) {
    say.step(`sending requests back to ${target.pin?.rollout ?? `the former instances of ${app.service}`}`)
    await converge(rollout, target)
  }
  const rest = await begun()
  if (rest.length > 0) await capture(removeContainers(rest.map(({ id }) => id)))
  rmSync(NEXT_PINS_FILE(), { force: true })
}

/** Removes what is not needed any more: never a release that runs, nor the one that the next rollback goes to. */
export async function tidy({ stack, app, progress }: Rollout, keep: number) {
  rmSync(NEXT_PINS_FILE(), { force: true })
  const used = (await listInstances(stack.project)).map(({ image }) => image)
  const wasLive = trail([...readHistory(), entryOf(progress.journal, 'deployed')], app.service)
  const removed = await pruneReleases(stack, app, wasLive, used, keep)
  if (removed.length > 0) say.detail(`removed ${removed.join(', ')}`)
}
