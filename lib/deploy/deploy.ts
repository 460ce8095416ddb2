// A deploy of one app, or of several as one release, from the lock to its results.
// Long, since what is released, recorded and told at each of its ends has to be read together.
import { linkReleases } from '../docker/compose_files.ts'
import { executePlans } from './execute_plan.ts'
import { badConfig, Failure, messageOf } from '../system/errors.ts'
import { readHistory, record } from './history.ts'
import { hasJournal, type Journal, journalsOf, readJournal, removeJournal } from './journal.ts'
import { takeDeployLock } from './deploy_lock.ts'
import { findNginx, keepOpen } from '../nginx/container.ts'
import { checkNginx, takeUpChanges, takeUpSwitch } from '../nginx/take_up.ts'
import { type DeployPlan, type DeployRequest, makePlan } from './plan.ts'
import { who } from '../system/identity.ts'
import type { Observation } from './observe.ts'
import { startProgress } from './progress.ts'
import type { Rollout } from './rollout.ts'
import { awaitOneOffs, recover } from './recover.ts'
import { PROBATION, stagesOf } from './stages.ts'
import { together } from '../system/concurrency.ts'
import { type Planned, Scope } from '../system/scope.ts'
import { runBefore, tellAfter, withoutHooks } from '../system/hooks.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import type { DataSwap } from './swap_data.ts'
import { TakenBackBefore, tellDeployed, tellFailure, type Told } from './tell_deploy.ts'
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
  /** seconds that it must have run before it gets requests; undefined: as is usual */
  probation: number | undefined
  /** how the new release is observed when it has visitors */
  observation: Observation
  /** run the team's hooks before and after it */
  hooks: boolean
  /** requests wait in nginx while it migrates and the switch is made, if something migrates */
  pause: boolean
  /** the caller holds the lock */
  locked?: boolean
  /** a rollback that takes the data back, too; only with a pause */
  data?: DataSwap
}

export const DEFAULTS = {
  keep: 5,
  timeout: 300,
  hooks: true,
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

/** What is going to be done to an app. */
export interface AppPlan {
  app: App
  plan: DeployPlan
  /** the live instances run it already, and that is enough */
  unchanged: boolean
}

/**
 * Opens a deploy of an app, or of several as one release: visitors get all of them or none. What a deploy that was
 * killed has left is put in order, and all is planned; those that have not changed are left alone, if that is asked
 * for. Executed it gives a result for each. Both throw a Failure: 75 when another deploy runs, 69 for what cannot be
 * reached, 78 for apps that cannot be one release, 1 when the rollout failed and was taken back.
 */
export async function openDeploy(
  stack: Stack,
  apps: App[],
  request: DeployRequest,
  options: DeployOptions,
): Promise<Planned<AppPlan[], DeployResult[]>> {
  checkIndependent(apps)
  const settings = options.hooks ? loadSettings() : withoutHooks(loadSettings())
  const scope = new Scope()
  if (!options.locked) scope.use(await takeDeployLock(options.wait))
  const begun = performance.now()
  const spent = () => performance.now() - begun
  let told: Told[] = apps.map(app => ({ journal: newJournal(app, request), subject: '' }))
  // Others hear of it when this one holds nothing any more.
  const orTell = async <T>(work: () => Promise<T>) => {
    try {
      return await work()
    } catch (error) {
      await scope.dispose()
      await tellFailure(settings, told, error, spent(), options.ifChange)
      throw error
    }
  }
  const parts = await orTell(async () => {
    const rolloutsOf = await prepare(stack, apps, options, scope)
    return planAll(request, options, rolloutsOf(apps.map(app => newJournal(app, request))))
  })
  const execute = async () => {
    const changed = parts.filter(({ unchanged }) => !unchanged)
    if (changed.length > 0) {
      told = changed.map(toldOf)
      await executeParts(changed, { ...options, settings, rollback: request.rollback })
    }
    await scope.dispose()
    if (changed.length > 0) await tellDeployed(settings, told, spent())
    return parts.map(resultOf)
  }
  return {
    plan: parts.map(({ rollout: { app }, plan, unchanged }) => ({ app, plan, unchanged })),
    execute: () => orTell(execute),
    dispose: () => scope.dispose(),
  }
}

/** Puts the stack in order for a deploy. Gives how a rollout of it is begun. */
const prepare = async (
  stack: Stack,
  apps: App[],
  { timeout, probation = PROBATION, keep }: DeployOptions,
  scope: Scope,
) => {
  const nginx = scope.use(keepOpen(await requireNginx(stack)))
  for (const { service } of apps) await takeUpSwitch(nginx, service)
  linkReleases()
  const rolloutsOf = (journals: Journal[]): Rollout[] =>
    startProgress(journals).map(progress => ({
      stack,
      app: appOf(stack, progress.journal),
      nginx,
      progress,
      timeout,
      probation,
    }))
  await recoverFormer(apps, rolloutsOf, stack, keep)
  return rolloutsOf
}

// Compose brings what an app depends on to its usual number, and would remove the new instance of that.
const checkIndependent = (apps: App[]) => {
  for (const { service, needs } of apps) {
    const other = apps.find(it => needs.includes(it.service))
    if (other)
      throw badConfig(
        `${service} depends on ${other.service} (depends_on in docker-compose.yml), so they cannot be deployed ` +
          'together',
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

const requireNginx = async ({ project }: Stack) => {
  const nginx = await findNginx(project)
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

interface Part {
  rollout: Rollout
  plan: DeployPlan
  unchanged: boolean
}

const planAll = async (request: DeployRequest, options: DeployOptions, rollouts: Rollout[]) => {
  const parts: Part[] = []
  for (const rollout of rollouts) {
    parts.push(await planOne(rollout, request, options))
    if (rollouts.length > 1) rollout.progress.end(true)
  }
  return parts
}

interface ExecuteOptions extends DeployOptions {
  settings: Settings
  rollback: boolean
}

const executeParts = async (parts: Part[], options: ExecuteOptions) => {
  const begun = parts.map(({ rollout }) => rollout)
  const journals = begun.map(({ progress }) => progress.journal)
  const about = { rollback: options.rollback, apps: journals.map(aboutOf) }
  const after = await orRecord(begun, () => runBefore('deploy', options.settings, about))
  await tellAfter(
    after,
    async () => {
      await orRecord(begun, () => takeUpChanges(begun[0]!.nginx))
      for (const { progress } of begun) progress.end(true)
      const { probation, ...how } = stagesOf(parts, options)
      const staged = parts.map(part => ({ ...part, rollout: { ...part.rollout, probation } }))
      await executePlans(staged, { keep: options.keep, ...(options.data && { data: options.data }), ...how })
    },
    () => ({ apps: journals.map(journal => ({ ...aboutOf(journal), visits: journal.visits?.during ?? null })) }),
  )
}

/** What a hook gets of an app. */
const aboutOf = ({ repository, service, from, to, revision }: Journal) => ({ repository, service, from, to, revision })

const toldOf = ({ rollout, plan: { commit } }: Part): Told => ({
  journal: rollout.progress.journal,
  subject: commit?.subject ?? '',
})

const resultOf = ({ rollout: { app, progress }, plan, unchanged }: Part): DeployResult => ({
  repository: app.repository,
  service: app.service,
  from: plan.from ?? null,
  image: plan.image,
  revision: plan.commit?.sha ?? null,
  result: unchanged ? 'unchanged' : 'deployed',
  phases: progress.journal.phases,
})

const planOne = async (rollout: Rollout, request: DeployRequest, { ifChange }: DeployOptions): Promise<Part> => {
  const { app, nginx, progress, stack } = rollout
  progress.phase('plan', app.repository)
  const [plan] = await orRecord([rollout], () => together(() => [makePlan(stack, app, request), checkNginx(nginx)]))
  const revision = plan.commit?.sha ?? null
  progress.note({ from: plan.from ?? null, to: plan.image, revision })
  const unchanged = ifChange && plan.current
  if (unchanged) progress.leave()
  else if (ifChange) checkNotTakenBack(rollout, revision)
  return { rollout, plan, unchanged }
}

// Whoever runs it by a timer would give it to visitors again and again.
const checkNotTakenBack = ({ app: { service, repository }, progress }: Rollout, revision: string | null) => {
  const last = readHistory().findLast(entry => entry.service === service)
  if (last?.takenBack !== true || last.revision !== revision) return
  progress.end(false)
  removeJournal()
  throw new TakenBackBefore(
    `${repository} at ${revision?.slice(0, 12)} was taken back at ${last.time}: ${last.error}`,
    {
      hint: 'to try it once more all the same: deploy_local.ts without --if-change',
    },
  )
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
