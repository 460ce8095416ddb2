import { checkDeployWords, DEPLOY_OPTIONS } from '../lib/cli/deploy_options.ts'
import { main } from '../lib/cli/main.ts'
import { ON, takeOn } from '../lib/cli/options.ts'

const command = {
  usage: 'deploy_remote.ts [options] <repo> [branch]',
  summary: `Runs deploy_local.ts on the server, with the same words and the same output. Ctrl-C reaches it there. When
the connection is lost, a deploy that has not switched goes back, and one that has is finished; the next call says how
it ended.`,
  words: [1, 2] as [number, number],
  options: { on: ON, ...DEPLOY_OPTIONS },
  examples: [
    ['tsx scripts/deploy_remote.ts avril', 'deploy on DEPLOY_HOST'],
    ['tsx scripts/deploy_remote.ts --on staging avril-profil develop', 'another branch on another server'],
    ['tsx scripts/deploy_remote.ts --rollback avril', 'go back to the release before'],
  ] as [string, string][],
  local: true,
}

await main(command, async (options, [, branch]) => {
  checkDeployWords(options, branch)
  const { runThere } = await import('../lib/remote/run_there.ts')
  // It asks before data leave the live database, and nothing else.
  const input = options['with-data'] ? 'person' : 'none'
  return runThere(options.on, 'deploy_local', takeOn(process.argv.slice(2)).rest, input)
})
