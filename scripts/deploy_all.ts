import { DEPLOY_OPTIONS, checkDeployWords, observationOf } from '../lib/cli/deploy_options.ts'
import { main, report } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'
import type { DeployResult } from '../lib/deploy/deploy.ts'
import type { App } from '../lib/docker/stack.ts'
import { Failure, messageOf } from '../lib/system/errors.ts'
import { say } from '../lib/system/progress.ts'
import { interruption } from '../lib/system/signals.ts'

const { observe, canary, errors, slower, wait, 'no-hooks': noHooks } = DEPLOY_OPTIONS

const command = {
  usage: 'deploy_all.ts [options]',
  summary:
    'Deploys the apps whose default branch has changed, one after another. Goes on after a failure; ends with its ' +
    'code, or with 1 when several differ.',
  words: [0, 0] as [number, number],
  options: {
    together: {
      help:
        'as one release: all are built, started and proved beside the live ones, then visitors get all of them or ' +
        'none',
    },
    observe,
    canary,
    errors,
    slower,
    pause: DEPLOY_OPTIONS.pause,
    wait,
    'no-hooks': noHooks,
    json: { help: 'print the results as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/deploy_all.ts', 'deploy what has changed'],
    ['tsx scripts/deploy_all.ts --together', 'the same, for a change that needs several apps at once'],
  ] as [string, string][],
}

await main(command, async options => {
  const request = { branch: undefined, to: undefined, rollback: false, dryRun: false }
  checkDeployWords({ ...options, ...request }, undefined)
  const { DEFAULTS, openDeploy } = await import('../lib/deploy/deploy.ts')
  const { showDeploy } = await import('../lib/cli/deploy_report.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const stack = await openStack()

  const results: (DeployResult | { repository: string; service: string; result: 'failed'; error: string })[] = []
  const failures: unknown[] = []
  const deploy = async (apps: App[]) => {
    try {
      const planned = await openDeploy(stack, apps, request, {
        ...DEFAULTS,
        probation: undefined,
        observation: observationOf(options, DEFAULTS.observation),
        // One after another only those that migrate wait.
        pause: options.pause && apps.some(({ migrate }) => migrate.length > 0),
        ifChange: true,
        hooks: !options['no-hooks'],
        wait: options.wait,
      })
      results.push(...(await showDeploy(planned)))
    } catch (error) {
      if (interruption.aborted) throw error
      report(error)
      failures.push(error)
      for (const { repository, service } of apps)
        results.push({ repository, service, result: 'failed', error: messageOf(error) })
    }
  }
  for (const apps of options.together ? [stack.apps] : stack.apps.map(app => [app])) await deploy(apps)

  if (options.json) print(JSON.stringify(results))
  if (failures.length === 0) return say.done('all apps are at the head of their default branch')
  const codes = new Set(failures.map(error => (error instanceof Failure ? error.exitCode : 1)))
  return codes.size === 1 ? [...codes][0] : 1
})
