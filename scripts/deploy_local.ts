import { checkDeployWords, DEPLOY_OPTIONS, observationOf } from '../lib/cli/deploy_options.ts'
import { usage } from '../lib/system/errors.ts'
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
    [
      'tsx scripts/deploy_local.ts --rollback --with-data avril',
      'the same, and the database as it was before the last deploy',
    ],
  ] as [string, string][],
  // It asks before data leave the live database, and nothing else.
  input: process.argv.includes('--with-data') ? ('person' as const) : ('none' as const),
}

await main(command, async (options, [repository = '', branch]) => {
  checkDeployWords(options, branch)
  const { appFor, openStack } = await import('../lib/docker/stack.ts')
  // Compose takes as long to read the stack as Node to read the rest of the scripts.
  const [
    stack,
    { DEFAULTS, openDeploy },
    { makePlan },
    { deployPlanText, showDeploy },
    { hookLines, withoutHooks },
    { loadSettings },
  ] = await Promise.all([
    openStack(),
    import('../lib/deploy/deploy.ts'),
    import('../lib/deploy/plan.ts'),
    import('../lib/cli/deploy_report.ts'),
    import('../lib/system/hooks.ts'),
    import('../lib/system/settings.ts'),
  ])
  const app = appFor(stack, repository)
  if (options.pause && app.migrate.length === 0)
    throw usage(
      `${repository} has no migration, so there is nothing to --pause for (avril.migrate in docker-compose.yml)`,
    )
  const observation = observationOf(options, DEFAULTS.observation)
  const request = { branch, to: options.to, rollback: options.rollback, dryRun: options['dry-run'] }

  if (options['with-data']) {
    const { openRollback } = await import('../lib/restore/rollback_with_data.ts')
    const { reportRollback, rollbackProposal } = await import('../lib/cli/rollback_report.ts')
    const { executeAgreed } = await import('../lib/cli/agree.ts')
    const settings = options['no-hooks'] ? withoutHooks(loadSettings()) : loadSettings()
    const planned = await openRollback(stack, app, settings, {
      keep: Number(options.keep ?? DEFAULTS.keep),
      timeout: Number(options.timeout ?? DEFAULTS.timeout),
      probation: Number(options.probation ?? 0),
      hooks: !options['no-hooks'],
      wait: options.wait,
    })
    const result = await executeAgreed(planned, rollbackProposal(planned.plan, hookLines('restore', settings)), options)
    if (!result) return
    if (options.json) print(JSON.stringify(result))
    return reportRollback(result)
  }

  if (options['dry-run']) {
    const plan = await makePlan(stack, app, request)
    const hooks = hookLines('deploy', options['no-hooks'] ? withoutHooks(loadSettings()) : loadSettings())
    const stages = { observed: options.pause ? 0 : observation.seconds, pause: options.pause }
    return print(options.json ? JSON.stringify(plan) : deployPlanText(app, plan, stages, hooks))
  }

  const deploy = await openDeploy(stack, [app], request, {
    ifChange: options['if-change'],
    wait: options.wait,
    hooks: !options['no-hooks'],
    keep: Number(options.keep ?? DEFAULTS.keep),
    timeout: Number(options.timeout ?? DEFAULTS.timeout),
    probation: options.probation === undefined ? undefined : Number(options.probation),
    observation,
    pause: options.pause,
  })

  const results = await showDeploy(deploy)
  if (options.json) for (const result of results) print(JSON.stringify(result))
})
