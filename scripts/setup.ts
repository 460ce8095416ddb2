import type { SetupResult, Step } from '../lib/setup/setup.ts'
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
    from: {
      value: '[host:]folder',
      help: 'make .env of that in the folder of the bash scripts (their checkout of avril), which stays as it is: shows what becomes of each setting, and asks. Then all that comes before the start: docs/coming-from-bash.md. With a host: the old site is on another machine, which ssh reaches',
    },
    cutover: {
      help: 'with --from: give the site to this stack. While the old one serves, images are built, the files copied, and each app shows a page with a first dump; then it asks, stops the old apps, brings the last rows and files, compares them, starts this site on the ports of .env, and has cron save it. When that fails the old site is started again. Nothing of it is removed',
    },
    back: { help: 'with --from: stop this site, and start what the cutover stopped' },
    'dry-run': { help: 'with --from: show what becomes of each setting, and change nothing' },
    yes: { help: 'with --from: do not ask' },
    'no-start': { help: 'do all that comes before the start, to look through .env first; then run it again without' },
    upgrade: {
      help: 'give phoenix a role in the database and a key to the files of its own, on an older site where it has those of the administrators, while the site is up; nothing else',
    },
    json: { help: 'print what was found as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/setup.ts --host avril.example.org', 'a new server, as root'],
    ['tsx scripts/setup.ts', 'the same again: what is missing is done'],
    ['tsx scripts/setup.ts --from /home/docker/avril', 'the settings of the bash scripts, in the form of these'],
    ['tsx scripts/setup.ts --from /home/docker/avril --cutover', 'the old site is replaced by this one'],
    ['tsx scripts/setup.ts --from root@old.example.org:/home/docker/avril', 'an old site on another machine'],
    ['tsx scripts/setup.ts --check', 'is everything as it should be?'],
    ['tsx scripts/setup.ts --upgrade', 'an older site: keys of its own for the app'],
  ] as [string, string][],
}

await main(command, async options => {
  if (options.check && (options.host !== undefined || options['no-start'] || options.upgrade))
    throw usage('--check changes nothing, so it takes neither --host nor --no-start nor --upgrade')
  if (options.upgrade && (options.host !== undefined || options['no-start']))
    throw usage('--upgrade is for a site that runs, so it takes neither --host nor --no-start')
  if (options.from === undefined && (options.yes || options['dry-run'] || options.cutover || options.back))
    throw usage('--cutover, --back, --yes and --dry-run go with --from')
  if ([options.cutover, options.back, options['dry-run']].filter(Boolean).length > 1)
    throw usage('--cutover, --back and --dry-run are three different things')
  if (options.from !== undefined && (options.check || options.upgrade || options.host !== undefined))
    throw usage('--from makes .env of an old one, so it takes neither --check nor --upgrade nor --host')
  const { findingText } = await import('../lib/cli/setup_report.ts')
  const { lookAtAll, setUp } = await import('../lib/setup/setup.ts')
  const { setupSteps, upgradeSteps } = await import('../lib/setup/setup_steps.ts')
  const start = !options['no-start'] && options.from === undefined
  const steps = options.upgrade ? upgradeSteps() : setupSteps({ host: options.host, start })

  const toStdout = options.check && !options.json
  const show = toStdout ? print : say.line
  const go = (some: Step[]) =>
    (options.check || options['dry-run'] ? lookAtAll : setUp)(some, result => show(findingText(result.step, result)))
  const results: SetupResult[] = []
  if (options.from !== undefined) {
    const { giveSiteBack, takeSettings, takeSite } = await import('../lib/cli/take_over.ts')
    const { openOldMachine } = await import('../lib/setup/old_machine.ts')
    const { yes, json, 'dry-run': dryRun } = options
    if (options.back) {
      await giveSiteBack(options.from, { yes })
      return 0
    }
    // The programs of the first step are needed to read what is taken over.
    results.push(...(await go(steps.splice(0, 1))))
    const missing = results.find(({ level }) => level === 'bad')
    if (missing) return missing.exitCode ?? 1
    const machine = await openOldMachine(options.from)
    try {
      if (options.cutover) {
        const done = await takeSite(machine, { yes, json })
        if (json) print(JSON.stringify(done))
        return 0
      }
      if (!(await takeSettings(machine, { yes, json, dryRun }))) return 0
    } finally {
      await machine.dispose()
    }
  }
  results.push(...(await go(steps)))

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
