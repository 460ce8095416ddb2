// Words about a deploy, before it and after it.
import type { AppPlan, DeployResult } from '../deploy/deploy.ts'
import type { DeployPlan } from '../deploy/plan.ts'
import { buildSettingsOf } from '../docker/build_settings.ts'
import type { HookLines } from '../system/hooks.ts'
import { say } from '../system/progress.ts'
import type { Planned } from '../system/scope.ts'
import { totalTime } from '../system/format.ts'
import type { App } from '../docker/stack.ts'
import { short, tagOf } from '../deploy/release_text.ts'

/**
 * Says what a deploy is going to do, executes it, and says how it ended. Gives a result for each app. Throws what the
 * deploy throws.
 */
export async function showDeploy(deploy: Planned<AppPlan[], DeployResult[]>) {
  try {
    for (const app of deploy.plan) explain(app)
    const results = await deploy.execute()
    for (const result of results) reportDeploy(result)
    return results
  } finally {
    await deploy.dispose()
  }
}

/** Says what a plan will do, and why when that is not plain. */
const explain = ({ app, plan, unchanged }: AppPlan) => {
  const { commit, changed, current, rollback, built, rebuilt, unknownToBuild } = plan
  if (unchanged) {
    if (changed) say.warn('.env or docker-compose.yml has changed since; a deploy without --if-change takes that up')
    return
  }
  const what = commit ? `${short(commit.sha)}${commit.subject ? ` "${commit.subject}"` : ''}` : tagOf(plan.image)
  say.step(`${app.repository}: ${rollback ? 'back to' : 'deploying'} ${what}, in place of ${tagOf(plan.from)}`)
  if (current && changed)
    say.step('the same commit is live; .env or docker-compose.yml has changed since, and that is taken up')
  else if (current) say.step('the same commit is live and healthy: its instances are replaced by new ones')
  else if (rebuilt) say.step(REBUILT)
  else if (built && !rollback) say.step('this release was built before: no build is needed')
  for (const doubt of doubtsOf(app, unknownToBuild)) say.warn(doubt)
}

const doubtsOf = (app: App, unknownToBuild: string[]) => [
  ...app.doubts,
  ...(unknownToBuild.length > 0 ? [unknownText(app, unknownToBuild)] : []),
]

const REBUILT =
  'the same commit is live, but its recipe, its base image or a setting of its build has changed since: this is ' +
  'another release'

const unknownText = ({ service }: App, names: string[]) =>
  `${names.join(', ')} in .env: the code reads ${names.length === 1 ? 'it' : 'them'} while it is built, and the ` +
  `build does not get ${names.length === 1 ? 'it' : 'them'} (build.args.SETTINGS of ${service} in ` +
  'docker-compose.yml)'

/**
 * The plan in words, for --dry-run; the release is observed for so many seconds, or requests wait until it serves.
 */
export function deployPlanText(
  app: App,
  plan: DeployPlan,
  { observed, pause }: { observed: number; pause: boolean },
  hooks: HookLines,
) {
  const { replicas, service } = app
  const migrate = app.migrate.length > 0 && !plan.rollback
  return [
    `${app.repository} (${service}): ${tagOf(plan.from)} → ${tagOf(plan.image)}`,
    ...hooks.before.map(line => `hook     ${line}`),
    plan.built ? `build    nothing: ${plan.image} is here` : `build    ${plan.image} from commit ${plan.commit?.sha}`,
    ...(plan.commit && !plan.built && buildSettingsOf(app.build.args).length > 0
      ? [`         with ${buildSettingsOf(app.build.args).join(', ')} of .env`]
      : []),
    ...(plan.rebuilt ? [`(${REBUILT})`] : []),
    ...(pause ? ['pause    requests wait in nginx until the new release serves, each for 30 s at most'] : []),
    ...(migrate ? [`migrate  ${app.migrate.join(' ')}, once, in the new release`] : []),
    `start    ${replicas === 1 ? 'one instance' : `${replicas} instances, one after another`}, beside the live ` +
      `one${replicas === 1 ? '' : 's'}`,
    `healthy  wait for the health check, then ask it for ${app.smoke.map(({ path }) => path).join(', ')}`,
    'switch   nginx to the new instance, and prove it',
    ...(plan.rollback || observed === 0
      ? []
      : [`observe  for ${observed} s what visitors get of it, and go back when that is worse than before`]),
    'drain    let the requests in flight end',
    'stop     stop and remove the old instance',
    'tidy     remove old releases',
    ...hooks.after.map(line => `hook     ${line}`),
    ...(plan.current && !plan.changed ? ['(the live instances run this commit already, and are healthy)'] : []),
    ...(plan.changed
      ? ['(.env or docker-compose.yml has changed since the live instances were started; that is taken up)']
      : []),
    ...doubtsOf(app, plan.unknownToBuild).map(doubt => `(warning: ${doubt})`),
  ].join('\n')
}

export function reportDeploy(result: DeployResult) {
  if (result.result === 'unchanged')
    return say.done(`${result.repository} is at ${tagOf(result.image)} already: nothing to do`)
  say.done(`${result.repository} is live at ${tagOf(result.image)}, after ${totalTime(result.phases)}`)
}
