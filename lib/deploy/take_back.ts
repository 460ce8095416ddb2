// The way back from a deploy that failed: visitors get what Compose knows as live, and what was begun is removed.
import { rmSync } from 'node:fs'
import { listInstances } from '../docker/containers.ts'
import { NEXT_PINS_FILE, pinFiles, readPins } from '../docker/release_pins.ts'
import type { App } from '../docker/stack.ts'
import { awaitDrained, canSwitch, isRouted, switchLive, upstreamsOfRollout } from '../nginx/live.ts'
import { lastTrouble } from '../nginx/prove.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { interruption } from '../system/signals.ts'
import { record } from './history.ts'
import { removeJournal, repositoryNames } from './journal.ts'
import { fleetOf } from './fleet.ts'
import { converge, type Rollout, type Target } from './rollout.ts'
import type { VisitsWatch } from './visits.ts'

/** The release that Compose knows as live. */
const liveTarget = (app: App): Target => ({
  pin: readPins()[app.service],
  files: pinFiles(),
  commit: () => {},
  prove: false,
})

interface Part {
  rollout: Rollout
  visits: VisitsWatch
}

/** Goes back with all apps of a release, of which one has failed, and throws the Failure that tells it. */
export async function goBack(parts: Part[], culprit: Rollout, error: unknown): Promise<never> {
  const several = parts.length > 1
  const repositories = repositoryNames(parts.map(({ rollout }) => rollout.app))
  const phase = `${culprit.progress.journal.phase}${several ? ` of ${culprit.app.service}` : ''}`
  // From here on Compose's own file names the new release: nothing is left to go back from.
  if (parts.some(({ rollout }) => isCommitted(rollout)))
    throw new Failure(
      `${repositories} ${several ? 'are' : 'is'} deployed, but phase ${phase} did not end: ${messageOf(error)}`,
      {
        hint: 'the new release serves; run it again (with --if-change) to put the rest in order',
        cause: error,
      },
    )
  const ends = await Promise.allSettled(parts.map(goBackOne))
  const problems = ends.flatMap(end => (end.status === 'rejected' ? [messageOf(end.reason)] : []))
  if (problems.length === 0) {
    for (const end of ends)
      if (end.status === 'fulfilled') {
        const isCulprit = end.value.service === culprit.app.service
        record(end.value, 'failed', isCulprit ? messageOf(error) : `${culprit.app.repository}: ${messageOf(error)}`)
      }
    removeJournal()
  }
  if (!(error instanceof Failure)) throw error
  const outcome =
    problems.length === 0
      ? 'the site is as it was'
      : `going back failed too (${problems.join('; ')}); run it again to put the rest in order`
  const failed = several ? 'were not deployed, phase' : 'was not deployed, phase'
  throw new Failure(`${repositories} ${failed} ${phase}: ${error.message}`, {
    exitCode: error.exitCode,
    cause: error,
    hint: `${outcome}; ${error.hint ?? 'correct the cause, then run this again'}`,
  })
}

/** Whether Compose knows what was begun as live. */
export function isCommitted({ app, progress: { journal } }: Rollout) {
  return journal.next !== null && readPins()[app.service]?.rollout === journal.next.rollout
}

/** Gives the journal with the phase in which it failed. */
const goBackOne = async ({ rollout, visits }: Part) => {
  const { progress } = rollout
  const { phase, next } = progress.journal
  await visits.look()
  if (next) await takeBack(rollout)
  progress.end(true)
  progress.journal.visits = await visits.read()
  return { ...progress.journal, phase }
}

/** milliseconds that nginx may take until it answers */
const NGINX_STARTS = 30_000

/** Goes back to what Compose knows as live; removes what was begun. */
export async function takeBack(rollout: Rollout) {
  const { app, stack, nginx } = rollout
  const target = liveTarget(app)
  // One that is just being started again answers in a moment, and by nothing else visitors are sent back.
  const ask = async () => ((await canSwitch(nginx, app.service)) ? undefined : 'nginx does not say who is live')
  await lastTrouble(ask, Date.now() + NGINX_STARTS)
  const begun = async () =>
    (await listInstances(stack.project, app.service)).filter(it => it.oneOff || it.rollout !== target.pin?.rollout)
  if (!(await isRouted(nginx, app.service, { upstreams: upstreamsOfRollout(app, target.pin?.rollout) }))) {
    say.step(`sending requests back to ${target.pin?.rollout ?? `the former instances of ${app.service}`}`)
    const isFirst = !target.pin && (await listInstances(stack.project, app.service)).every(({ rollout }) => rollout)
    if (isFirst) await switchLive(nginx, app.service, { upstreams: [] })
    else await converge(rollout, target)
  }
  const rest = await begun()
  // One that was killed while it went back may have left it with requests.
  if (rest.some(({ running, oneOff }) => running && !oneOff)) await awaitDrained(nginx, app.service, interruption)
  if (rest.length > 0) await fleetOf(stack, app).remove(rest)
  await fleetOf(stack, app).sweep(target.pin?.rollout)
  rmSync(NEXT_PINS_FILE(), { force: true })
}
