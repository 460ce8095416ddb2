// Several apps as one release: visitors get all of them or none.
import { fleetOf } from './fleet.ts'
import type { Watch } from '../docker/container_events.ts'
import { rendezvous } from '../system/concurrency.ts'
import { Failure } from '../system/errors.ts'
import { interruption, isShielded, shielded } from '../system/signals.ts'
import { bringMore, type Company, converge, handOver, listSides, type Rollout, type Target } from './rollout.ts'

/**
 * `converge` for the apps of a release; of several `onFailure` is told which was the first to fail. With `atOnce` all
 * instances of a single app are replaced in one moment, too.
 */
export async function convergeAll(
  moves: { rollout: Rollout; target: Target }[],
  onFailure: (rollout: Rollout) => void,
  atOnce = false,
) {
  const [only, ...others] = moves
  const gradually = only && !fleetOf(only.rollout.stack, only.rollout.app).atOnce
  if (gradually && others.length === 0 && !atOnce) return converge(only.rollout, only.target)
  return convergeTogether(moves, onFailure)
}

/**
 * Starts and proves all instances of all apps, beside those that are live (so it needs room for twice as many), and
 * then replaces all at once. It takes things as they are, as `converge` does. Throws the Failure of the first that
 * fails; signals are heeded until the switch.
 */
const convergeTogether = async (
  moves: { rollout: Rollout; target: Target }[],
  onFailure: (rollout: Rollout) => void,
) => {
  const parts: Move[] = moves.map(move => {
    const { stack, app } = move.rollout
    return { ...move, watch: fleetOf(stack, app).watch() }
  })
  const heedsSignals = !isShielded()
  const over = new AbortController()
  let culprit: Move | undefined
  const blaming = async (part: Move, work: (fail: (error: unknown) => void) => Promise<void>) => {
    const fail = (error: unknown) => {
      culprit ??= part
      over.abort(error)
    }
    try {
      await work(fail)
    } catch (error) {
      fail(error)
      throw error
    }
  }
  const come = () => rendezvous(moves.length)
  const points = { switch: come(), all: come(), observed: come(), drained: come() }
  const meet: Company['meet'] = async (point, signal) => {
    await points[point](signal)
    // The last moment in which nothing has changed for visitors.
    if (point === 'switch' && heedsSignals && interruption.aborted) throw interruption.reason as Error
  }
  try {
    for (const part of parts) {
      await blaming(part, () => bringAll(part))
      if (parts.length > 1) part.rollout.progress.phase('ready', 'waiting for the other apps')
    }
    const ends = await shielded(() =>
      Promise.allSettled(
        parts.map(part => blaming(part, fail => replaceAll(part, { meet, onFailure: fail, over: over.signal }))),
      ),
    )
    const failed = ends.find((_, index) => parts[index] === culprit)
    if (failed?.status === 'rejected') throw failed.reason
  } catch (error) {
    if (culprit) onFailure(culprit.rollout)
    throw error
  } finally {
    for (const { watch } of parts) watch.stop()
  }
}

/** Starts and proves the instances of an app beside those that are live, as the first part of `convergeAll`. */
export async function bringUp({ rollout, target }: { rollout: Rollout; target: Target }) {
  const watch = fleetOf(rollout.stack, rollout.app).watch()
  try {
    await bringAll({ rollout, target, watch })
  } finally {
    watch.stop()
  }
}

interface Move {
  rollout: Rollout
  target: Target
  watch: Watch
}

const bringAll = async ({ rollout, target, watch }: Move) => {
  let sides = await listSides(rollout, target)
  while (sides.fresh.length < rollout.app.replicas) {
    await bringMore(rollout, target, sides, watch)
    sides = await listSides(rollout, target)
  }
}

const replaceAll = async ({ rollout, target, watch }: Move, company: Company) => {
  const { fresh, former } = await listSides(rollout, target)
  if (fresh.length < rollout.app.replicas) throw new Failure(`an instance of ${rollout.app.service} has ended`)
  const { observation } = target
  await handOver(rollout, target, { fresh, staying: [], leaving: former, complete: true, observation }, watch, company)
}
