// Puts in order what a killed deploy left behind.
import { nextTarget, takeBack, tidy } from './execute_plan.ts'
import { containerIds, docker, removeContainers } from '../docker/commands.ts'
import { Failure } from '../system/errors.ts'
import { record } from './history.ts'
import { isHealthy, listInstances } from '../docker/containers.ts'
import { type Journal, removeJournal } from './journal.ts'
import { namesInstance, readLive } from '../nginx/live_map.ts'
import { type Pin, readPins } from '../docker/release_pins.ts'
import { converge, type Rollout } from './rollout.ts'
import { attempt, capture } from '../system/run.ts'
import { say } from '../system/progress.ts'
import type { App, Stack } from '../docker/stack.ts'

/**
 * Puts in order what a killed deploy left behind: before its switch it goes back, after it forward. The caller holds
 * the lock, so whoever wrote the journal is dead.
 */
export async function recover(journal: Journal, rollout: Rollout, keep: number) {
  const { next, service, repository, phase, who, since } = journal
  say.step(`the deploy of ${repository} by ${who} at ${since} was interrupted in phase ${phase}: putting it in order`)
  const { app, stack, progress } = rollout
  let result = 'went back'
  if (next) {
    await awaitOneOffs(stack, app)
    const switched = readPins()[service]?.rollout === next.rollout || (await isSwitched(rollout, next))
    const forward = switched && (await tryForward(rollout, next))
    if (!forward) await takeBack(rollout, true)
    if (forward) {
      result = 'completed'
      await tidy(rollout, keep)
    }
  }
  progress.end(true)
  record(
    { ...journal, phases: progress.journal.phases },
    result === 'completed' ? 'deployed' : 'interrupted',
    `interrupted in phase ${phase}, ${result}`,
  )
  removeJournal()
  say.done(
    `the interrupted deploy of ${repository} ${result === 'completed' ? 'is completed' : 'is taken back: the site is as it was before it'}`,
  )
}

const tryForward = async (rollout: Rollout, next: Pin) => {
  try {
    await converge(rollout, nextTarget(rollout.app, next, true))
    return true
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    say.warn(`it cannot be completed: ${error.message}`)
    return false
  }
}

// nginx's file names either the alias of the rollout or its first instances.
const isSwitched = async ({ stack, app }: Rollout, next: Pin) => {
  const live = readLive(app.service) ?? ''
  const fresh = (await listInstances(stack.project, app.service)).filter(
    it => !it.oneOff && it.rollout === next.rollout,
  )
  return fresh.some(isHealthy) && fresh.some(instance => namesInstance(live, instance))
}

/** A migration that was left running must not be cut: what it has begun it may end. */
export async function awaitOneOffs({ project }: Stack, { service }: App) {
  const labels = [
    `com.docker.compose.project=${project}`,
    `com.docker.compose.service=${service}`,
    'com.docker.compose.oneoff=True',
  ]
  const ids = (await capture(containerIds(...labels))).split('\n').filter(Boolean)
  if (ids.length === 0) return
  say.step('its migration is still running: waiting for it to end')
  await attempt(docker('wait', ...ids))
  await attempt(removeContainers(ids))
}
