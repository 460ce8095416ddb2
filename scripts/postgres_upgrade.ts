import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'
import { usage } from '../lib/system/errors.ts'

const command = {
  usage: 'postgres_upgrade.ts [options]',
  summary:
    "Brings the data to the PostgreSQL of docker-compose.yml's image, in a new volume beside the old one, which " +
    'serves until the switch and is kept for a way back. Run on the server.',
  words: [0, 0] as [number, number],
  options: {
    yes: { help: 'do not ask (needed without a terminal)' },
    undo: { help: 'go back to the former server, with the data that it had; doing it twice is a redo' },
    window: { help: 'without replication: whoever writes waits until all is copied' },
    'old-image': {
      value: 'image',
      help: 'the image that the data were served by, when postgres does not start with the new one',
      form: [/^[a-z0-9][A-Za-z0-9._:/@-]*$/, 'the name of an image'] as const,
    },
    wait: {
      help: 'queue, for six hours at most, when a backup, a restore or a deploy is running, instead of ending with 75',
    },
    'dry-run': {
      help: 'start the new server, prove what can be proved, print what would be done; the site is not touched',
    },
    'no-hooks': { help: "do not run the team's hooks (HOOKS_DIR)" },
    json: { help: 'print the result as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/postgres_upgrade.ts --dry-run', 'what it would do, and in which way'],
    ['tsx scripts/postgres_upgrade.ts', 'do it'],
    ['tsx scripts/postgres_upgrade.ts --undo', 'back to the former server'],
    [
      'tsx scripts/postgres_upgrade.ts --old-image postgis/postgis:17-3.5',
      'the image was changed by hand, and postgres does not start',
    ],
  ] as [string, string][],
  input: 'person' as const,
}

await main(command, async options => {
  if (options.undo && (options.window || options['old-image'] !== undefined))
    throw usage('--undo takes no option that is about an upgrade')
  const { loadSettings } = await import('../lib/system/settings.ts')
  const { executeAgreed } = await import('../lib/cli/agree.ts')
  const { openUpgrade } = await import('../lib/upgrade/upgrade.ts')
  const { openUpgradeUndo } = await import('../lib/upgrade/undo.ts')
  const { openRenewal } = await import('../lib/upgrade/renew.ts')
  const { renewProposal, reportRenewal, reportUpgrade, upgradeProposal, upgradeUndoProposal } =
    await import('../lib/cli/upgrade_report.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const { say } = await import('../lib/system/progress.ts')
  const stack = await openStack()
  const { hookLines, withoutHooks } = await import('../lib/system/hooks.ts')
  const settings = options['no-hooks'] ? withoutHooks(loadSettings()) : loadSettings()
  const hooks = hookLines('upgrade', settings)
  const { wait, window } = options

  const undo = async () => {
    const planned = await openUpgradeUndo(stack, settings, wait)
    if ('finished' in planned) {
      const { version } = planned.finished.next
      say.done(`the way back that was killed is complete: PostgreSQL ${version} serves again`)
      return undefined
    }
    return executeAgreed(planned, upgradeUndoProposal(planned.plan, hooks), options)
  }
  const renew = async () => {
    say.done('PostgreSQL is what docker-compose.yml names: there is nothing to upgrade')
    const planned = await openRenewal(stack, settings, wait)
    return planned && executeAgreed(planned, renewProposal(planned.plan), options)
  }
  const upgrade = async () => {
    const planned = await openUpgrade(stack, settings, { window, oldImage: options['old-image'] }, wait)
    if (planned) return executeAgreed(planned, upgradeProposal(planned.plan, settings.FORMER_DAYS, hooks), options)
    return renew()
  }
  const result = await (options.undo ? undo() : upgrade())
  if (!result) return 0
  if (options.json) print(JSON.stringify(result))
  return result.result === 'sorted anew' ? reportRenewal(result) : reportUpgrade(result)
})
