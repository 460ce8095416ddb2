import { CONSOLE_OPTIONS } from '../lib/cli/console_options.ts'
import { main } from '../lib/cli/main.ts'
import { ON, takeOn } from '../lib/cli/options.ts'

const command = {
  usage: 'console_remote.ts [options] [repo]',
  summary: 'Runs console_local.ts on the server, in this terminal.',
  words: [0, 1] as [number, number],
  options: { on: ON, ...CONSOLE_OPTIONS },
  examples: [['tsx scripts/console_remote.ts', 'a console on DEPLOY_HOST']] as [string, string][],
  local: true,
}

await main(command, async options => {
  const { runThere } = await import('../lib/remote/run_there.ts')
  return runThere(options.on, 'console_local', takeOn(process.argv.slice(2)).rest, 'data')
})
