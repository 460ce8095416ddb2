import { checkDeployWords, DEPLOY_OPTIONS } from '../lib/cli/deploy_options.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'deploy_local.ts [options] <repo> [branch]',
  summary: 'Replaces the live instance of an app by a new release, without losing a request. Run on the server.',
  words: [1, 2] as [number, number],
  options: DEPLOY_OPTIONS,
  examples: [
    ['tsx scripts/deploy_local.ts avril', "deploy the head of the remote's default branch"],
    ['tsx scripts/deploy_local.ts --if-change avril-profil develop', 'deploy another branch, if it has changed'],
    ['tsx scripts/deploy_local.ts --rollback avril', 'go back to the release before'],
  ] as [string, string][],
}

await main(command, async (options, [repository = '', branch]) => {
  checkDeployWords(options, branch)
  const { DEFAULTS, deployApp } = await import('../lib/deploy/deploy.ts')
  const { makePlan } = await import('../lib/deploy/plan.ts')
  const { reportDeploy, explain, deployPlanText } = await import('../lib/cli/deploy_report.ts')
  const { appFor, openStack } = await import('../lib/docker/stack.ts')
  const stack = await openStack()
  const app = appFor(stack, repository)
  const request = { branch, to: options.to, rollback: options.rollback, dryRun: options['dry-run'] }

  if (options['dry-run']) {
    const plan = await makePlan(stack, app, request)
    return print(options.json ? JSON.stringify(plan) : deployPlanText(app, plan))
  }

  const result = await deployApp(stack, app, request, {
    ifChange: options['if-change'],
    wait: options.wait,
    keep: Number(options.keep ?? DEFAULTS.keep),
    timeout: Number(options.timeout ?? DEFAULTS.timeout),
    probation: Number(options.probation ?? DEFAULTS.probation),
    onPlan: explain,
  })

  reportDeploy(result)
  if (options.json) print(JSON.stringify(result))
})
