import type { SetupResult, Step } from '../lib/setup/setup.ts'
import { main } from '../lib/cli/main.ts'
import { type Values, withoutOptions } from '../lib/cli/options.ts'
import { checkSetupWords, nodeActionOf, SETUP_OPTIONS } from '../lib/cli/setup_options.ts'
import { usage } from '../lib/system/errors.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'

const recoverElsewhere = async (
  { key, env }: Values<typeof SETUP_OPTIONS>,
  host: string | undefined,
  argv: string[],
) => {
  const { recoverThere } = await import('../lib/remote/recover_there.ts')
  return recoverThere(host, { key, env }, withoutOptions(argv, ['key', 'env']))
}

const command = {
  usage: 'setup.ts [options]',
  summary: `Makes this machine a server: Docker, .env, the repositories, the first start, the nightly backup. You can
run it again at any time: it leaves alone what is in order, and goes on where it was stopped. A step that needs another
one waits for it.

Each step is shown: ✓ in order, → being done, ! a warning, ✗ not in order and what to do, · not looked at. Ends with 0
when nothing is ✗; otherwise with 1 (--check), or with the code of the first ✗: 65 a dump, 69 no network, no engine, not
root, or an authority that is not reached or does not reach this site, 73 a folder, 74 no space, 75 another setup.ts, 78
a setting, the DNS, a certificate or docker-compose.yml, 1 anything else.`,
  words: [0, 0] as [number, number],
  options: SETUP_OPTIONS,
  examples: [
    ['tsx scripts/setup.ts --host avril.example.org', 'a new server, as root'],
    ['tsx scripts/setup.ts', 'the same again: what is missing is done'],
    ['tsx scripts/setup.ts --from /home/docker/avril', 'the settings of the bash scripts, in the form of these'],
    ['tsx scripts/setup.ts --from /home/docker/avril --cutover', 'the old site is replaced by this one'],
    ['tsx scripts/setup.ts --from root@old.example.org:/home/docker/avril', 'an old site on another machine'],
    ['tsx scripts/setup.ts --recover --key key.txt', 'a site whose server is lost, on a new machine'],
    [
      'tsx scripts/setup.ts --recover --on root@new.example.org --key key.txt --env site.env',
      'the same from a laptop: these scripts, .env and the key are brought there',
    ],
    ['tsx scripts/setup.ts --certificate admin@example.org', 'https, by a certificate that renews itself'],
    ['tsx scripts/setup.ts --check', 'is everything as it should be?'],
    ['tsx scripts/setup.ts --archive', 'an older site: any moment can be brought back from now on'],
    ['tsx scripts/setup.ts --swarm 10.0.0.1', 'this server becomes the first of several'],
    ['tsx scripts/setup.ts --join root@10.0.0.2', 'and this one the second'],
    ['tsx scripts/setup.ts --one-server', 'and the first is the only one again'],
    ['tsx scripts/setup.ts --upgrade', 'an older site: keys of its own for the app'],
  ] as [string, string][],
  input: 'person' as const,
  ofMachine: true,
  elsewhere: (options: Values<typeof SETUP_OPTIONS>, host: string | undefined, argv: string[]) => {
    checkSetupWords(options)
    return options.recover ? recoverElsewhere(options, host, argv) : undefined
  },
}

await main(command, async options => {
  checkSetupWords(options)
  if (options.renew) {
    const { renew } = await import('../lib/cli/renew.ts')
    return renew({ json: options.json })
  }
  if (options.recover) {
    if (options.env !== undefined) throw usage('--env is for --on: here .env lies beside docker-compose.yml')
    const { recoverHere } = await import('../lib/cli/recover_actions.ts')
    const recovered = await recoverHere(options)
    if (recovered && options.json) print(JSON.stringify(recovered.done))
    return recovered?.code ?? 0
  }
  const action = nodeActionOf(options)
  if (action !== undefined) {
    const { actOnNode } = await import('../lib/cli/node_actions.ts')
    await actOnNode(action, String(options[action]), { manager: options.manager })
    return 0
  }
  const { findingText } = await import('../lib/cli/setup_report.ts')
  const { lookAtAll, setUp } = await import('../lib/setup/setup.ts')
  const { authoritySteps, setupSteps, upgradeSteps } = await import('../lib/setup/setup_steps.ts')
  const { archiveSteps } = await import('../lib/setup/archive_steps.ts')
  const start = !options['no-start'] && options.from === undefined
  const stepsOf = () => {
    if (options.archive) return archiveSteps()
    if (options.certificate !== undefined) return authoritySteps(options.certificate)
    return options.upgrade ? upgradeSteps() : setupSteps({ host: options.host, start })
  }
  const steps = stepsOf()

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
      `not in order: ${[...new Set(wrong.map(({ step }) => step))].join(', ')}` +
        (options.check ? '; without --check what can be done is done' : ''),
    )
  if (options.check) return wrong.length === 0 ? 0 : 1
  return wrong[0]?.exitCode ?? 0
})
