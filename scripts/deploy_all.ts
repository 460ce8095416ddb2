import { Failure, messageOf } from '../lib/system/errors.ts'
import { main, report } from '../lib/cli/main.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'
import { interruption } from '../lib/system/signals.ts'

const command = {
  usage: 'deploy_all.ts [options]',
  summary:
    'Deploys each app in turn, those whose default branch has changed. Goes on after a failure; ends with its code, or with 1 when several differ.',
  words: [0, 0] as [number, number],
  options: {
    wait: { help: 'queue, for six hours at most, when another deploy is running, instead of ending with 75' },
    json: { help: 'print the results as one JSON document on stdout' },
  },
  examples: [['tsx scripts/deploy_all.ts', 'deploy what has changed']] as [string, string][],
}

await main(command, async options => {
  const { DEFAULTS, deployApp } = await import('../lib/deploy/deploy.ts')
  const { reportDeploy, explain } = await import('../lib/cli/deploy_report.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const stack = await openStack()

  const results: unknown[] = []
  const failures: unknown[] = []
  for (const app of stack.apps) {
    try {
      const request = { branch: undefined, to: undefined, rollback: false, dryRun: false }
      const result = await deployApp(stack, app, request, {
        ...DEFAULTS,
        ifChange: true,
        wait: options.wait,
        onPlan: explain,
      })
      reportDeploy(result)
      results.push(result)
    } catch (error) {
      if (interruption.aborted) throw error
      report(error)
      failures.push(error)
      results.push({ repository: app.repository, service: app.service, result: 'failed', error: messageOf(error) })
    }
  }

  if (options.json) print(JSON.stringify(results))
  if (failures.length === 0) return say.done('all apps are at the head of their default branch')
  const codes = new Set(failures.map(error => (error instanceof Failure ? error.exitCode : 1)))
  return codes.size === 1 ? [...codes][0] : 1
})
