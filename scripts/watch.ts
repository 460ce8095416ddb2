import { existsSync } from 'node:fs'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'
import { badConfig, usage } from '../lib/system/errors.ts'
import { say } from '../lib/system/progress.ts'

/** seconds */
const HOUR = 3600

const command = {
  usage: 'watch.ts [options]',
  summary: `Looks once at what status.ts looks at, and asks the site from outside as a visitor would; ends with 0 when
all is well, with 1 otherwise. It tells nobody.

With --install-cron it looks each minute, and tells NOTICE_URL: once when two looks have found something wrong, once
when it is well again, and a reminder after hours. Nothing is said of the site while maintenance is on or somebody
restores, nor in the five minutes after the machine has started.`,
  words: [0, 0] as [number, number],
  options: {
    'install-cron': { help: 'have cron look each minute, and tell NOTICE_URL (as root)' },
    'remove-cron': { help: 'have cron look no more (as root)' },
    remind: {
      value: 'hours',
      help:
        'for --install-cron: tell again what is still wrong after so many hours (default 4); what can wait, as a ' +
        'backup that is too old, after 24 at the earliest',
      form: [/^[1-9]\d{0,2}$/, 'a number of hours from 1 to 999'] as const,
    },
    tell: { hidden: true, help: 'look each minute for an hour, and tell: what cron begins' },
    every: {
      value: 'seconds',
      hidden: true,
      help: 'how often --tell looks (default 60)',
      form: [/^[1-9]\d{0,3}$/, 'a number of seconds from 1 to 9999'] as const,
    },
    json: { help: 'print what was found as one JSON document' },
  },
  modes: { heading: 'Modes (without one it looks once):', names: ['install-cron', 'remove-cron'] },
  examples: [
    ['tsx scripts/watch.ts', 'look once'],
    ['tsx scripts/watch.ts --install-cron', 'be told from now on'],
  ] as [string, string][],
}

await main(command, async options => {
  const modes = [options['install-cron'], options['remove-cron'], options.tell].filter(Boolean).length
  if (modes > 1) throw usage('--install-cron and --remove-cron exclude one another')
  if (options.remind !== undefined && !options['install-cron'] && !options.tell)
    throw usage('--remind goes with --install-cron')
  const { loadSettings } = await import('../lib/system/settings.ts')
  const { cronFile, installCron, removeCron, watchCronText } = await import('../lib/setup/cron.ts')
  const { cronRuns } = await import('../lib/setup/nightly_backup.ts')
  const { look, remember } = await import('../lib/status/look.ts')
  const { readWatched, watch } = await import('../lib/status/watch.ts')
  const { lookText } = await import('../lib/cli/watch_report.ts')
  const { COMPOSE_PROJECT_NAME: project, NOTICE_URL: notice, WHOST: site } = loadSettings()
  const file = cronFile(project, 'watch')
  const remind = options.remind ?? '4'

  if (options['install-cron'] || options['remove-cron']) {
    const installed = options['install-cron']
    if (installed && notice === undefined)
      throw badConfig(
        'NOTICE_URL in .env is empty, so nobody would be told',
        'set it to an incoming webhook (Mattermost, Slack), then run this again',
      )
    const changed = installed ? installCron(project, watchCronText(remind), 'watch') : removeCron(project, 'watch')
    say.done(`${file} ${installed ? 'looks each minute' : 'is there no more'}${changed ? '' : ' (as before)'}`)
    if (installed && !cronRuns()) say.warn('cron does not run, so nobody looks: systemctl enable --now cron')
    return options.json ? print(JSON.stringify({ file, installed, changed })) : undefined
  }
  if (options.tell) {
    await watch({ every: Number(options.every ?? 60), long: HOUR, remind: Number(remind), whileThere: file })
    return 0
  }
  const watched = readWatched()
  const found = await look(await remember(), watched?.byName === site)
  print(
    options.json
      ? JSON.stringify({ well: found.troubles.length === 0, ...found, watched: watched ?? null })
      : lookText(found, watched, existsSync(file)),
  )
  return found.troubles.length === 0 ? 0 : 1
})
