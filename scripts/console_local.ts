import { randomUUID } from 'node:crypto'
import { isatty } from 'node:tty'
import { CONSOLE_OPTIONS } from '../lib/cli/console_options.ts'
import { main } from '../lib/cli/main.ts'

const command = {
  usage: 'console_local.ts [options] [repo]',
  summary: `Opens the console of an app in its live instance: "iex -S mix run --no-compile" in phoenix. Its exit code is
the console's own. Who opened it, when and from where is noted in .state/audit.jsonl. Run on the server.`,
  words: [0, 1] as [number, number],
  options: CONSOLE_OPTIONS,
  examples: [
    ['tsx scripts/console_local.ts', 'a console beside the app, with its code and its database'],
    [
      'tsx scripts/console_local.ts --remote-shell',
      'a shell of the node that serves the site: what it remembers can be looked at, and broken',
    ],
  ] as [string, string][],
  input: 'data' as const,
}

await main(command, async (options, [repository]) => {
  const { audit } = await import('../lib/system/audit.ts')
  const { appWithConsole, liveInstance, openConsole } = await import('../lib/console/console.ts')
  const { hangUpLater } = await import('../lib/docker/exec_session.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const { containerOf } = await import('../lib/nginx/place.ts')
  const { interactive } = await import('../lib/system/interactive.ts')
  const stack = await openStack()
  const app = appWithConsole(stack, repository)
  const instance = await containerOf(await liveInstance(stack, app))
  const session = { mark: `CONSOLE_SESSION=${randomUUID()}`, terminal: isatty(0) && isatty(1) }

  audit('console', { instance: instance.name, remoteShell: options['remote-shell'] })
  const hangUp = await hangUpLater(instance, session.mark)
  try {
    return await interactive(openConsole(instance, session, options['remote-shell'] ? [] : app.console))
  } finally {
    await hangUp()
  }
})
