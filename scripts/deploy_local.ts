import { checkDeployWords, DEPLOY_OPTIONS, observationOf } from '../lib/cli/deploy_options.ts'
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
  const { appFor, openStack } = await import('../lib/docker/stack.ts')
  // Compose takes as long to read the stack as Node to read the rest of the scripts.
  const [stack, { DEFAULTS, deployApps }, { makePlan }, { reportDeploy, explain, deployPlanText }] = await Promise.all([
    openStack(),
    import('../lib/deploy/deploy.ts'),
    import('../lib/deploy/plan.ts'),
    import('../lib/cli/deploy_report.ts'),
  ])
  const app = appFor(stack, repository)
  const request = { branch, to: options.to, rollback: options.rollback, dryRun: options['dry-run'] }

  if (options['dry-run']) {
    const plan = await makePlan(stack, app, request)
    return print(
      options.json
        ? JSON.stringify(plan)
        : deployPlanText(app, plan, observationOf(options, DEFAULTS.observation).seconds),
    )
  }

  const results = await deployApps(stack, [app], request, {
    ifChange: options['if-change'],
    wait: options.wait,
    keep: Number(options.keep ?? DEFAULTS.keep),
    timeout: Number(options.timeout ?? DEFAULTS.timeout),
    probation: Number(options.probation ?? DEFAULTS.probation),
    observation: observationOf(options, DEFAULTS.observation),
    onPlan: explain,
  })

  for (const result of results) {
    reportDeploy(result)
    if (options.json) print(JSON.stringify(result))
  }
})
