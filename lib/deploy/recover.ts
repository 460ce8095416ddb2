// Puts in order what a killed deploy left behind.
import { nextRelease, tidy } from './execute_plan.ts'
import { convergeAll } from './rollout_together.ts'
import { isCommitted, takeBack } from './take_back.ts'
import { docker, removeContainers } from '../docker/commands.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { record } from './history.ts'
import { composeLabels, idsWith, isHealthy, listInstances } from '../docker/containers.ts'
import { journalsOf, phaseText, removeJournal, repositoryNames, type ReleaseJournal } from './journal.ts'
import { readRoute, sendsTo } from '../nginx/live.ts'
import { endPauses, pauseRequests } from '../nginx/pause.ts'
import type { Pin } from '../docker/release_pins.ts'
import type { Rollout } from './rollout.ts'
import { recoverData } from './swap_data.ts'
import { attempt } from '../system/run.ts'
import { say } from '../system/progress.ts'
import type { App, Stack } from '../docker/stack.ts'

/** Of a deploy that was interrupted: those whose requests waited, since they were to be migrated. */
export function waitedBefore<R extends Pick<Rollout, 'app' | 'progress'>>(rollouts: R[]) {
  const hadPause = ({ progress: { journal } }: R) => journal.phase === 'pause' || journal.phases.pause !== undefined
  return rollouts.some(hadPause) ? rollouts.filter(({ app }) => app.migrate.length > 0) : []
}

// A migration goes on without the deploy that began it, and the old release cannot live with what it has done so far.
const pauseAgain = async (rollouts: Rollout[]) => {
  const waited = waitedBefore(rollouts)
  const [first] = waited
  if (!first) return undefined
  try {
    return await pauseRequests(
      first.nginx,
      waited.map(({ app }) => app.service),
    )
  } catch (error) {
    say.warn(`requests do not wait for the migration that may still run: ${messageOf(error)}`)
    return undefined
  }
}

/**
 * Puts in order what a killed deploy left behind, of one app or of several as one release: before its switch it goes
 * back, after it forward. The caller holds the lock, so whoever wrote the journal is dead. What cannot be put in order
 * is left to the rollout that comes, when that is of the same apps: it takes the instances as they are. Else it throws
 * a Failure.
 */
export async function recover(release: ReleaseJournal, rollouts: Rollout[], next: App[], keep: number) {
  const repositories = repositoryNames(journalsOf(release))
  const phases = rollouts.map(({ progress }) => progress.journal.phase)
  say.step(
    `the deploy of ${repositories} by ${release.who} at ${release.since} was interrupted in phase ` +
      `${phaseText(release)}: putting it in order`,
  )
  const begun = rollouts.filter(({ progress }) => progress.journal.next !== null)
  const pause = await pauseAgain(rollouts)
  for (const { stack, app } of begun) await awaitOneOffs(stack, app)
  await pause?.dispose()
  const [any] = rollouts
  if (any)
    await endPauses(
      any.nginx,
      rollouts.map(({ app }) => app.service),
    )
  const forward = begun.length > 0 && (await areSwitched(rollouts)) && (await tryForward(rollouts))
  if (!forward && !rollouts.some(isCommitted)) await recoverData(rollouts)
  const troubles = forward ? [] : await takeAllBack(begun)
  if (forward) for (const rollout of rollouts) await tidy(rollout, keep)
  const left = repositoryNames(troubles.map(({ app }) => app))
  if (troubles.some(({ app }) => !next.includes(app)))
    throw new Failure(`${left} cannot be put in order: ${troubles.map(({ why }) => why).join('; ')}`, {
      hint: `deploy ${left} again, with a release that is healthy; the site goes on meanwhile as it is`,
    })
  for (const [index, { progress }] of rollouts.entries()) {
    progress.end(true)
    // Of several those that were not looked at yet have no deploy to tell of.
    if (rollouts.length > 1 && progress.journal.to === null) continue
    const phase = phases[index]!
    const isDeployed = forward || isCommitted(rollouts[index]!)
    record(
      { ...progress.journal, phase },
      isDeployed ? 'deployed' : 'interrupted',
      `interrupted in phase ${phase}, went back`,
    )
  }
  removeJournal()
  if (troubles.length > 0)
    return say.warn(
      `${left} is left as it is: ${troubles.map(({ why }) => why).join('; ')}; the deploy that comes takes its place`,
    )
  say.done(
    `the interrupted deploy of ${repositories} ` +
      (forward ? 'is completed' : 'is taken back: the site is as it was before it'),
  )
}

/** Gives those with which it did not work, and why; none goes on when it ends. */
const takeAllBack = async (rollouts: Rollout[]) => {
  const ends = await Promise.allSettled(
    rollouts.map(async rollout => {
      // What Compose knows as live would only go back to itself, and take what it has replaced along.
      if (isCommitted(rollout))
        throw new Failure(`the release of ${rollout.app.repository} that is live does not get in order`)
      await takeBack(rollout)
    }),
  )
  return ends.flatMap((end, index) =>
    end.status === 'rejected' ? [{ app: rollouts[index]!.app, why: messageOf(end.reason) }] : [],
  )
}

const tryForward = async (rollouts: Rollout[]) => {
  const next = Object.fromEntries(
    rollouts.flatMap(({ app, progress }) => (progress.journal.next ? [[app.service, progress.journal.next]] : [])),
  )
  const targetOf = nextRelease(next)
  try {
    await convergeAll(
      rollouts.map(rollout => ({ rollout, target: targetOf(rollout.app) })),
      () => {},
    )
    return true
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    say.warn(`it cannot be completed: ${error.message}`)
    return false
  }
}

// What was only observed is not proved yet.
const areSwitched = async (rollouts: Rollout[]) => {
  for (const rollout of rollouts) {
    const { next, phase } = rollout.progress.journal
    if (!next) return false
    if (!isCommitted(rollout) && (phase === 'observe' || !(await isSwitched(rollout, next)))) return false
  }
  return true
}

// nginx sends requests to the alias of the rollout, or to its first instances.
const isSwitched = async ({ stack, app, nginx }: Rollout, next: Pin) => {
  const { upstreams, former } = await readRoute(nginx, app.service)
  if (former) return false
  const fresh = (await listInstances(stack.project, app.service)).filter(
    it => !it.oneOff && it.rollout === next.rollout,
  )
  return fresh.some(isHealthy) && fresh.some(instance => sendsTo(upstreams, instance))
}

/** A migration that was left running must not be cut: what it has begun it may end. */
export async function awaitOneOffs({ project }: Stack, { service }: App) {
  const ids = await idsWith([...composeLabels(project, service), 'com.docker.compose.oneoff=True'])
  if (ids.length === 0) return
  say.step('its migration is still running: waiting for it to end')
  await attempt(docker('wait', ...ids))
  await attempt(removeContainers(ids))
}
