// A deploy of one app, from the lock to its result.
import { executePlan } from './execute_plan.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { record } from './history.ts'
import { listInstances } from '../docker/containers.ts'
import { hasJournal, type Journal, readJournal, removeJournal } from './journal.ts'
import { takeDeployLock } from './deploy_lock.ts'
import { checkNginx } from '../nginx/live_map.ts'
import { type DeployPlan, type DeployRequest, makePlan } from './plan.ts'
import { who } from '../system/identity.ts'
import { startProgress } from './progress.ts'
import type { Rollout } from './rollout.ts'
import { say } from '../system/progress.ts'
import { awaitOneOffs, recover } from './recover.ts'
import { together } from '../system/concurrency.ts'
import { shielded } from '../system/signals.ts'
import type { App, Stack } from '../docker/stack.ts'

interface DeployOptions {
  /** do nothing when the live instances run the commit already */
  ifChange: boolean
  /** queue for the lock */
  wait: boolean
  /** how many releases stay on this machine */
  keep: number
  /** seconds that a new instance has to get healthy */
  timeout: number
  /** seconds that it must have run before it gets requests */
  probation: number
  /** is told what will be done, before it is */
  onPlan: (app: App, plan: DeployPlan) => void
}

export const DEFAULTS = { keep: 5, timeout: 300, probation: 7 }

export interface DeployResult {
  repository: string
  service: string
  result: 'deployed' | 'unchanged'
  from: string | null
  image: string
  revision: string | null
  /** seconds */
  phases: Record<string, number>
}

/**
 * Deploys an app. Throws a Failure: 75 when another deploy runs, 69 for what cannot be reached, 1 when the rollout
 * failed and was taken back.
 */
export async function deployApp(
  stack: Stack,
  app: App,
  request: DeployRequest,
  options: DeployOptions,
): Promise<DeployResult> {
  const lock = await takeDeployLock(options.wait)
  try {
    const nginx = await findNginx(stack)
    const rolloutOf = (app: App, journal: Journal): Rollout => ({
      stack,
      app,
      nginx,
      progress: startProgress(journal),
      timeout: options.timeout,
      probation: options.probation,
    })
    await recoverFormer(stack, app, rolloutOf, options.keep)
    return await deployNow(stack, app, request, options, rolloutOf(app, newJournal(app, request)))
  } finally {
    await lock.dispose()
  }
}

const newJournal = (app: App, { rollback }: DeployRequest): Journal => ({
  who: who(),
  since: new Date().toISOString(),
  pid: process.pid,
  repository: app.repository,
  service: app.service,
  phase: 'plan',
  phases: {},
  from: null,
  to: null,
  revision: null,
  rollback,
  next: null,
})

const findNginx = async ({ project }: Stack) => {
  const nginx = (await listInstances(project, 'nginx')).find(({ running }) => running)
  if (nginx) return nginx
  throw new Failure('nginx is not running, so there is no site to deploy to', {
    hint: 'start the stack first: docker compose up -d',
  })
}

const recoverFormer = async (
  stack: Stack,
  next: App,
  rolloutOf: (app: App, journal: Journal) => Rollout,
  keep: number,
) => {
  const journal = readJournal()
  // One that is damaged tells nothing of what was interrupted. The rollout that comes takes the instances as they are;
  // a migration that goes on it would cut.
  if (!journal && hasJournal()) await awaitOneOffs(stack, next)
  if (!journal) return
  const app = stack.apps.find(({ service }) => service === journal.service)
  if (!app)
    throw new Failure(`a deploy of ${journal.service} was interrupted, and docker-compose.yml has no such app any more`)
  await shielded(() => recover(journal, rolloutOf(app, journal), keep))
}

const deployNow = async (
  stack: Stack,
  app: App,
  request: DeployRequest,
  options: DeployOptions,
  rollout: Rollout,
): Promise<DeployResult> => {
  const { progress } = rollout
  progress.phase('plan', app.repository)
  const plan = await planOrRecord(stack, app, request, rollout)
  const revision = plan.commit?.sha ?? null
  const result = {
    repository: app.repository,
    service: app.service,
    from: plan.from ?? null,
    image: plan.image,
    revision,
  }
  progress.note({ from: result.from, to: plan.image, revision })
  if (options.ifChange && plan.current) {
    progress.end(true)
    removeJournal()
    if (plan.changed)
      say.warn('.env or docker-compose.yml has changed since; a deploy without --if-change takes that up')
    return { ...result, result: 'unchanged', phases: progress.journal.phases }
  }
  options.onPlan(app, plan)
  await executePlan(rollout, plan, options.keep)
  return { ...result, result: 'deployed', phases: progress.journal.phases }
}

const planOrRecord = async (stack: Stack, app: App, request: DeployRequest, { nginx, progress }: Rollout) => {
  try {
    const [plan] = await together(() => [makePlan(stack, app, request), checkNginx(nginx)])
    return plan
  } catch (error) {
    progress.end(false)
    record(progress.journal, 'failed', messageOf(error))
    removeJournal()
    throw error
  }
}
