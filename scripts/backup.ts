import { actionOf, BACKUP_OPTIONS, MODES } from '../lib/cli/backup_options.ts'
import { main } from '../lib/cli/main.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'backup.ts [options] [name]',
  summary:
    'Makes a backup set of the database and the uploaded files: dumped, read back, compared, and only then given ' +
    'its name. Run on the server.',
  words: [0, 1] as [number, number],
  options: BACKUP_OPTIONS,
  modes: MODES,
  examples: [
    ['tsx scripts/backup.ts', 'make a set, and replace db/dumps/latest.dump'],
    ['tsx scripts/backup.ts before-import', 'the same under a name of its own, also as db/dumps/before-import.dump'],
    ['tsx scripts/backup.ts --list', 'which sets there are'],
    ['tsx scripts/backup.ts --install-cron --at 02:30', 'each night at half past two'],
  ] as [string, string][],
}

await main(command, async (options, [name]) => {
  const action = actionOf(options, name)
  const { runAction } = await import('../lib/cli/backup_actions.ts')

  const { done, text, data, code = 0 } = await runAction(action, options, name)

  if (done !== undefined) say.done(done)
  const shown = options.json && data !== undefined ? JSON.stringify(data) : text
  if (shown !== undefined) print(shown)
  return code
})
