import { setTimeout as pause } from 'node:timers/promises'
import { usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'
import { interruption } from '../lib/system/signals.ts'

const command = {
  usage: 'status.ts [options]',
  summary:
    'Shows every service, its health, the live releases, the last deploys and backups. Ends with 1 when anything is not healthy, a public site has no backup, the newest is older than 26 hours or not off the site, or the last drill failed.',
  words: [0, 0] as [number, number],
  options: {
    json: { help: 'print it as one JSON document' },
    watch: { help: 'show it again every 2 seconds, until Ctrl-C' },
  },
  examples: [
    ['tsx scripts/status.ts', 'look once'],
    ['tsx scripts/status.ts --watch', 'keep looking, for instance during a deploy'],
  ] as [string, string][],
}

await main(command, async options => {
  if (options.json && options.watch) throw usage('--json prints one document: it cannot be used with --watch')
  const { openStack } = await import('../lib/docker/stack.ts')
  const { backupText, stateText } = await import('../lib/cli/status_report.ts')
  const { readStackStatus: readState } = await import('../lib/status/stack_status.ts')
  const { loadSettings } = await import('../lib/system/settings.ts')
  const { readBackups } = await import('../lib/status/backup_status.ts')
  const { readVersion } = await import('../lib/status/version.ts')
  const stack = await openStack()
  const settings = loadSettings()
  const version = await readVersion()

  for (;;) {
    const backups = readBackups(settings)
    const state = await readState(stack, 5)
    const good = state.healthy && backups.trouble === ''
    if (options.watch && process.stdout.isTTY) process.stdout.write('\u001b[2J\u001b[H')
    print(
      options.json
        ? JSON.stringify({ ...version, ...state, backups })
        : `${stateText(state, version)}\n\n${backupText(backups)}`,
    )
    if (!options.watch) return good ? 0 : 1
    await pause(2000, undefined, { signal: interruption }).catch(() => {})
    if (interruption.aborted) return 130
  }
})
