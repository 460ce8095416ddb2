// How what has changed is replaced: watched, or with requests that wait.
import type { App } from '../docker/stack.ts'
import { say } from '../system/progress.ts'
import type { Observation } from './observe.ts'
import type { DeployPlan } from './plan.ts'

/** seconds that a new instance must have run before it gets requests */
export const PROBATION = 7

interface Change {
  rollout: { app: Pick<App, 'migrate'> }
  plan: Pick<DeployPlan, 'rollback'>
}

/** Whether it has the database migrated. */
export function hasMigration({ rollout: { app }, plan }: Change) {
  return app.migrate.length > 0 && !plan.rollback
}

interface Wanted {
  pause: boolean
  /** seconds; undefined: nobody has said */
  probation: number | undefined
  observation: Observation
  /** the data are swapped, too */
  data?: object | undefined
}

/**
 * Requests wait only when something of it changes the data. Then nothing is observed, because nobody can be sent back;
 * and there is no probation that was not asked for, since somebody waits for each second of it.
 */
export function stagesOf(changed: Change[], { pause: isWanted, probation, observation, data }: Wanted) {
  const pause = isWanted && (data !== undefined || changed.some(hasMigration))
  if (pause) return { pause, probation: probation ?? 0, observation: { ...observation, seconds: 0 } }
  if (isWanted) say.step('nothing that has changed has a migration: no request waits, and visitors are observed')
  return { pause, probation: probation ?? PROBATION, observation }
}
