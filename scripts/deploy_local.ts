import { usage } from '../lib/errors.ts'
import { main } from '../lib/main.ts'
import { print } from '../lib/say.ts'

const REF = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/

const command = {
  usage: 'deploy_local.ts [options] <repo> [branch]',
  summary: 'Replaces the live instance of an app by a new release, without losing a request. Run on the server.',
  words: [1, 2] as [number, number],
  options: {
    'if-change': { help: 'do nothing when the live instance already runs the head of the branch' },
    to: { value: 'commit|tag', help: 'deploy this instead of the head of a branch', form: REF },
    rollback: { help: 'go back to the release before the live one; builds nothing, migrates nothing' },
    keep: { value: 'number', help: 'how many releases to keep on this machine (default 5)', form: /^[1-9]\d{0,2}$/ },
    timeout: { value: 'seconds', help: 'how long a new instance may take to get healthy (default 300)', form: /^[1-9]\d{0,4}$/ },
    probation: { value: 'seconds', help: 'how long it must have run before it gets requests (default 7)', form: /^\d{1,4}$/ },
    wait: { help: 'queue when another deploy is running, instead of ending with 75' },
    'dry-run': { help: 'print what would be done; changes nothing' },
    json: { help: 'print the result as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/deploy_local.ts avril', "deploy the head of the remote's default branch"],
    ['tsx scripts/deploy_local.ts --if-change avril-profil develop', 'deploy another branch, if it has changed'],
    ['tsx scripts/deploy_local.ts --rollback avril', 'go back to the release before'],
  ] as [string, string][],
}

await main(command, async (options, [repository = '', branch]) => {
  const targets = [branch !== undefined, options.to !== undefined, options.rollback].filter(Boolean)
  if (targets.length > 1) throw usage('a branch, --to and --rollback exclude one another')
  if (branch !== undefined && !REF.test(branch)) throw usage(`${JSON.stringify(branch)} cannot be the name of a branch`)
  const { DEFAULTS, deployApp } = await import('../lib/deploy.ts')
  const { makePlan } = await import('../lib/plan.ts')
  const { conclude, planText } = await import('../lib/report.ts')
  const { appFor, openStack } = await import('../lib/stack.ts')
  const stack = await openStack()
  const app = appFor(stack, repository)
  const request = { branch, to: options.to, rollback: options.rollback, dryRun: options['dry-run'] }

  if (options['dry-run']) {
    const plan = await makePlan(stack, app, request)
    return print(options.json ? JSON.stringify(plan) : planText(app, plan))
  }

  const result = await deployApp(stack, app, request, {
    ifChange: options['if-change'],
    wait: options.wait,
    keep: Number(options.keep ?? DEFAULTS.keep),
    timeout: Number(options.timeout ?? DEFAULTS.timeout),
    probation: Number(options.probation ?? DEFAULTS.probation),
  })

  conclude(result)
  if (options.json) print(JSON.stringify(result))
})
