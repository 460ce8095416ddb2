import { usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'setup.ts [options]',
  summary: `Makes this machine a server: Docker, .env, the repositories, the first start, the nightly backup. You can run it again at any time:
it leaves alone what is in order, and goes on where it was stopped. A step that needs another one waits for it.

Each step is shown: ✓ in order, → being done, ! a warning, ✗ not in order and what to do, · not looked at.
Ends with 0 when nothing is ✗; otherwise with 1 (--check), or with the code of the first ✗: 65 a dump, 69 no network, no
engine or not root, 73 a folder, 74 no space, 78 a setting, a certificate or docker-compose.yml, 1 anything else.`,
  words: [0, 0] as [number, number],
  options: {
    check: { help: 'look at everything and change nothing. Warnings alone end with 0, a ✗ with 1' },
    host: {
      value: 'name',
      help: 'the host name of a public site, for the .env that is made (default localhost)',
      form: [
        /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
        'a host name: small letters, digits, "." and "-", as in avril.example.org',
      ] as const,
    },
    'no-start': { help: 'do all that comes before the start, to look through .env first; then run it again without' },
    upgrade: {
      help: 'give phoenix a role in the database and a key to the files of its own, on an older site where it has those of the administrators, while the site is up; nothing else',
    },
    json: { help: 'print what was found as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/setup.ts --host avril.example.org', 'a new server, as root'],
    ['tsx scripts/setup.ts', 'the same again: what is missing is done'],
    ['tsx scripts/setup.ts --check', 'is everything as it should be?'],
    ['tsx scripts/setup.ts --upgrade', 'an older site: keys of its own for the app'],
  ] as [string, string][],
}

await main(command, async options => {
  if (options.check && (options.host !== undefined || options['no-start'] || options.upgrade))
    throw usage('--check changes nothing, so it takes neither --host nor --no-start nor --upgrade')
  if (options.upgrade && (options.host !== undefined || options['no-start']))
    throw usage('--upgrade is for a site that runs, so it takes neither --host nor --no-start')
  const { findingText } = await import('../lib/cli/setup_report.ts')
  const { lookAtAll, setUp } = await import('../lib/setup/setup.ts')
  const { setupSteps, upgradeSteps } = await import('../lib/setup/setup_steps.ts')
  const steps = options.upgrade ? upgradeSteps() : setupSteps({ host: options.host, start: !options['no-start'] })

  const toStdout = options.check && !options.json
  const show = toStdout ? print : say.line
  const results = await (options.check ? lookAtAll : setUp)(steps, result => show(findingText(result.step, result)))

  const count = (level: string) => results.filter(result => result.level === level).length
  const wrong = results.filter(({ level }) => level === 'bad')
  if (options.json) print(JSON.stringify({ good: wrong.length === 0, findings: results }))
  if (wrong.length === 0)
    say.done(`this server is in order${count('warning') > 0 ? `; warnings: ${count('warning')}` : ''}`)
  else
    say.bad(
      `not in order: ${[...new Set(wrong.map(({ step }) => step))].join(', ')}${options.check ? '; without --check what can be done is done' : ''}`,
    )
  if (options.check) return wrong.length === 0 ? 0 : 1
  return wrong[0]?.exitCode ?? 0
})
