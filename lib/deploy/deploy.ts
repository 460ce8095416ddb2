// A deploy of one app, or of several as one release, from the lock to its results.
import { linkReleases } from '../docker/compose_files.ts'
import { executePlans } from './execute_plan.ts'
import { badConfig, Failure, messageOf } from '../system/errors.ts'
import { readHistory, record } from './history.ts'
import { listInstances } from '../docker/containers.ts'
import { hasJournal, type Journal, journalsOf, readJournal, removeJournal } from './journal.ts'
import { takeDeployLock } from './deploy_lock.ts'
import { checkNginx, takeUpChanges, takeUpSwitch } from '../nginx/take_up.ts'
import { type DeployPlan, type DeployRequest, makePlan } from './plan.ts'
import { who } from '../system/identity.ts'
import type { Observation } from './observe.ts'
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
  /** how the new release is observed when it has visitors */
  observation: Observation
  /** is told what will be done, before it is */
  onPlan: (app: App, plan: DeployPlan) => void
}

export const DEFAULTS = {
  keep: 5,
  timeout: 300,
  probation: 7,
  observation: { seconds: 30, canary: undefined, errors: 5, slower: 5 },
}

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
 * Deploys an app, or several as one release: visitors get all of them or none. Those that have not changed are left
 * alone, if that is asked for. Gives a result for each. Throws a Failure: 75 when another deploy runs, 69 for what
 * cannot be reached, 78 for apps that cannot be one release, 1 when the rollout failed and was taken back.
 */
export async function deployApps(
  stack: Stack,
  apps: App[],
  request: DeployRequest,
  options: DeployOptions,
): Promise<DeployResult[]> {
  checkIndependent(apps)
  const lock = await takeDeployLock(options.wait)
  try {
    const nginx = await findNginx(stack)
    for (const { service } of apps) await takeUpSwitch(nginx, service)
    linkReleases()
    const { timeout, probation } = options
    const rolloutsOf = (journals: Journal[]): Rollout[] =>
      startProgress(journals).map(progress => ({
        stack,
        app: appOf(stack, progress.journal),
        nginx,
        progress,
        timeout,
        probation,
      }))
    await recoverFormer(apps, rolloutsOf, stack, options.keep)
    return await deployNow(request, options, rolloutsOf(apps.map(app => newJournal(app, request))))
  } finally {
    await lock.dispose()
  }
}

// Compose brings what an app depends on to its usual number, and would remove the new instance of that.
const checkIndependent = (apps: App[]) => {
  for (const { service, needs } of apps) {
    const other = apps.find(it => needs.includes(it.service))
    if (other)
      throw badConfig(
        `${service} depends on ${other.service} (depends_on in docker-compose.yml), so they cannot be deployed together`,
        'deploy them one after another: deploy_all.ts without --together',
      )
  }
}

const appOf = ({ apps }: Stack, { service }: Journal) => {
  const app = apps.find(it => it.service === service)
  if (app) return app
  throw new Failure(`a deploy of ${service} was interrupted, and docker-compose.yml has no such app any more`)
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
  apps: App[],
  rolloutsOf: (journals: Journal[]) => Rollout[],
  stack: Stack,
  keep: number,
) => {
  const former = readJournal()
  if (former) return shielded(() => recover(former, rolloutsOf(journalsOf(former)), apps, keep))
  // One that is damaged tells nothing of what was interrupted. The rollout that comes takes the instances as they are;
  // a migration that goes on it would cut.
  if (hasJournal()) for (const app of apps) await awaitOneOffs(stack, app)
}

const deployNow = async (request: DeployRequest, options: DeployOptions, rollouts: Rollout[]) => {
  const planned: { rollout: Rollout; plan: DeployPlan; result: DeployResult }[] = []
  for (const rollout of rollouts) {
    planned.push(await planOne(rollout, request, options))
    if (rollouts.length > 1) rollout.progress.end(true)
  }
  const changed = planned.filter(({ result }) => result.result === 'deployed')
  if (changed.length > 0) {
    await orRecord(
      changed.map(({ rollout }) => rollout),
      () => takeUpChanges(rollouts[0]!.nginx),
    )
    for (const { rollout } of changed) rollout.progress.end(true)
    await executePlans(changed, options)
  }
  return planned.map(({ result }) => result)
}

const planOne = async (rollout: Rollout, request: DeployRequest, options: DeployOptions) => {
  const { app, nginx, progress, stack } = rollout
  progress.phase('plan', app.repository)
  const [plan] = await orRecord([rollout], () => together(() => [makePlan(stack, app, request), checkNginx(nginx)]))
  const [from, revision] = [plan.from ?? null, plan.commit?.sha ?? null]
  progress.note({ from, to: plan.image, revision })
  const { phases } = progress.journal
  const isLeft = options.ifChange && plan.current
  const result: DeployResult = {
    repository: app.repository,
    service: app.service,
    from,
    image: plan.image,
    revision,
    result: isLeft ? 'unchanged' : 'deployed',
    phases,
  }
  if (isLeft) {
    progress.leave()
    if (plan.changed)
      say.warn('.env or docker-compose.yml has changed since; a deploy without --if-change takes that up')
  } else {
    if (options.ifChange) checkNotTakenBack(rollout, revision)
    options.onPlan(app, plan)
  }
  return { rollout, plan, result }
}

// Whoever runs it by a timer would give it to visitors again and again.
const checkNotTakenBack = ({ app: { service, repository }, progress }: Rollout, revision: string | null) => {
  const last = readHistory().findLast(entry => entry.service === service)
  if (last?.takenBack !== true || last.revision !== revision) return
  progress.end(false)
  removeJournal()
  throw new Failure(`${repository} at ${revision?.slice(0, 12)} was taken back at ${last.time}: ${last.error}`, {
    hint: 'to try it once more all the same: deploy_local.ts without --if-change',
  })
}

const orRecord = async <T>(rollouts: Rollout[], work: () => Promise<T>) => {
  try {
    return await work()
  } catch (error) {
    for (const { progress } of rollouts) {
      progress.end(false)
      record(progress.journal, 'failed', messageOf(error))
    }
    removeJournal()
    throw error
  }
}
