// Code and data go back together: to the release before, and to the database as it was before the deploy that
// replaced it.
import { type DeployResult, DEFAULTS, openDeploy } from '../deploy/deploy.ts'
import { type Entry, readHistory, trail } from '../deploy/history.ts'
import type { RestorePoint } from '../deploy/journal.ts'
import { makePlan } from '../deploy/plan.ts'
import { tagOf } from '../deploy/release_text.ts'
import { restartAll, usersOf } from '../docker/restart.ts'
import type { App, Stack } from '../docker/stack.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { writtenSince } from '../postgres/written_since.ts'
import { usage } from '../system/errors.ts'
import type { Planned } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { momentText } from '../system/site_time.ts'
import { targetAt } from './before_deploy.ts'
import type { RestorePlan, RestoreResult } from './plan.ts'
import { type Cutover, openRestore } from './restore.ts'

export interface RollbackPlan extends RestorePlan {
  repository: string
  release: { from: string; to: string }
  /** rows of the live database that were written since, and leave it */
  written: Record<string, number>
}

export interface RollbackResult extends RestoreResult {
  release: DeployResult | undefined
}

interface Options {
  keep: number
  timeout: number
  probation: number
  hooks: boolean
  wait: boolean
}

/**
 * The restore point of the deploy that replaced the release before the live one. Throws a Failure (64) when there is
 * none.
 */
export function pointOfLive(
  history: Entry[],
  { service, repository }: Pick<App, 'service' | 'repository'>,
): RestorePoint {
  const [target, live] = trail(history, service).slice(-2)
  const deploy = history.findLast(
    ({ service: it, result, rollback, from, to }) =>
      it === service && result === 'deployed' && rollback !== true && from === target && to === live,
  )
  if (deploy?.restorePoint) return deploy.restorePoint
  throw usage(
    `the deploy of ${repository} ${tagOf(live)} left no restore point, so nobody knows which data were before it`,
    `nothing was touched; the code alone: deploy_local.ts --rollback ${repository}; the data alone: ` +
      'backup_restore.ts --at',
  )
}

/** Recovers and proves the data of then, and plans both. Throws the Failures of a restore and of a rollback. */
export async function openRollback(
  stack: Stack,
  app: App,
  settings: Settings,
  options: Options,
): Promise<Planned<RollbackPlan, RollbackResult>> {
  const point = pointOfLive(readHistory(), app)
  const request = { branch: undefined, to: undefined, rollback: true, dryRun: false }
  const { image, from } = await makePlan(stack, app, request)
  const name = `before the deploy of ${app.repository} ${tagOf(from)} at ${momentText(new Date(point.time))}`
  let release: DeployResult | undefined
  const cutover: Cutover = {
    swapIn: async ({ open }, incoming, former = '') => {
      let times = { began: new Date(), ended: new Date() }
      const onSwapped = (swapped: typeof times) => {
        times = swapped
      }
      const data = { server: open.server, incoming, former, onSwapped }
      const how = { ...DEFAULTS, ...options, ifChange: false, pause: true, locked: true, data }
      const observation = { ...DEFAULTS.observation, seconds: 0 }
      const deploy = await openDeploy(stack, [app], request, { ...how, observation })
      try {
        ;[release] = await deploy.execute()
      } finally {
        await deploy.dispose()
      }
      return { pause: { dispose: () => {} }, former, ...times }
    },
    startAnew: async ({ open, data }, { former, began, ended }) => {
      // Those of the app were started just now.
      const others = (await usersOf(stack, 'postgres')).filter(({ service }) => service !== app.service)
      if (others.length > 0) data.step('restart', others.map(it => it.name).join(', '))
      await restartAll(stack, others)
      const seconds = (ended.getTime() - began.getTime()) / 1000
      return { database: open.server.database, former: former ?? null, swap: seconds, interruption: null }
    },
  }
  const wanted = {
    name: undefined,
    target: targetAt(point, name),
    fromDatabase: settings.POSTGRES_DB,
    into: undefined,
    files: false,
    anonymise: undefined,
    keyFile: undefined,
    noOwner: false,
    noAcl: false,
  }
  const planned = await openRestore(stack, settings, wanted, options.wait, cutover)
  try {
    const live = await openSessions(await findServer(stack.project, settings))
    const written = await writtenSince(live, live.database, point.xid)
    const plan = {
      ...planned.plan,
      repository: app.repository,
      release: { from: tagOf(from), to: tagOf(image) },
      written,
    }
    const execute = async () => ({ ...(await planned.execute()), release })
    return { plan, execute, dispose: planned.dispose }
  } catch (error) {
    await planned.dispose()
    throw error
  }
}
