// Words about a deploy, before it and after it.
import type { DeployResult } from '../deploy/deploy.ts'
import type { DeployPlan } from '../deploy/plan.ts'
import { buildSettingsOf } from '../docker/build_settings.ts'
import { say } from '../system/progress.ts'
import { totalTime } from '../system/format.ts'
import type { App } from '../docker/stack.ts'
import { short, tagOf } from '../deploy/release_text.ts'

/** Says what a plan will do, and why when that is not plain. */
export function explain(app: App, plan: DeployPlan) {
  const { commit, changed, current, rollback, built, rebuilt, unknownToBuild } = plan
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
  'the same commit is live, but its recipe, its base image or a setting of its build has changed since: this is another release'

const unknownText = ({ service }: App, names: string[]) =>
  `${names.join(', ')} in .env: the code reads ${names.length === 1 ? 'it' : 'them'} while it is built, and the build does not get ${names.length === 1 ? 'it' : 'them'} (build.args.SETTINGS of ${service} in docker-compose.yml)`

/** The plan in words, for --dry-run; the release is observed for so many seconds. */
export function deployPlanText(app: App, plan: DeployPlan, observed: number) {
  const { replicas, service } = app
  const migrate = app.migrate.length > 0 && !plan.rollback
  return [
    `${app.repository} (${service}): ${tagOf(plan.from)} → ${tagOf(plan.image)}`,
    plan.built ? `build    nothing: ${plan.image} is here` : `build    ${plan.image} from commit ${plan.commit?.sha}`,
    ...(plan.commit && !plan.built && buildSettingsOf(app.build.args).length > 0
      ? [`         with ${buildSettingsOf(app.build.args).join(', ')} of .env`]
      : []),
    ...(plan.rebuilt ? [`(${REBUILT})`] : []),
    ...(migrate ? [`migrate  ${app.migrate.join(' ')}, once, in the new release`] : []),
    `start    ${replicas === 1 ? 'one instance' : `${replicas} instances, one after another`}, beside the live one${replicas === 1 ? '' : 's'}`,
    `healthy  wait for the health check, then ask it for ${app.smoke.map(({ path }) => path).join(', ')}`,
    'switch   nginx to the new instance, and prove it',
    ...(plan.rollback || observed === 0
      ? []
      : [`observe  for ${observed} s what visitors get of it, and go back when that is worse than before`]),
    'drain    let the requests in flight end',
    'stop     stop and remove the old instance',
    'tidy     remove old releases',
    ...(plan.current && !plan.changed ? ['(the live instances run this commit already, and are healthy)'] : []),
    ...(plan.changed
      ? ['(.env or docker-compose.yml has changed since the live instances were started; that is taken up)']
      : []),
    ...doubtsOf(app, plan.unknownToBuild).map(doubt => `(warning: ${doubt})`),
  ].join('\n')
}

/** Says how a deploy ended. */
export function reportDeploy(result: DeployResult) {
  if (result.result === 'unchanged')
    return say.done(`${result.repository} is at ${tagOf(result.image)} already: nothing to do`)
  say.done(`${result.repository} is live at ${tagOf(result.image)}, after ${totalTime(result.phases)}`)
}
