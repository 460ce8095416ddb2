import { Failure, usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'
import { interruption } from '../lib/system/signals.ts'

const command = {
  usage: 'logs.ts [options] [service]',
  summary: 'Shows the last 100 lines of the log of a service, or of all, and goes on as new ones come. Ctrl-C ends it.',
  words: [0, 1] as [number, number],
  options: {
    tail: {
      value: 'lines',
      help: 'how many lines to begin with (default 100)',
      form: [/^\d{1,6}$/, 'a number from 0 to 999999'] as const,
    },
    'no-follow': { help: 'end after these lines' },
  },
  examples: [
    ['tsx scripts/logs.ts phoenix', 'follow one service'],
    ['tsx scripts/logs.ts --no-follow', 'the last lines of all'],
  ] as [string, string][],
}

const show = async (command: string[]) => {
  const { follow } = await import('../lib/system/run.ts')
  const { lines, stop } = follow(command)
  // Nobody reads it any more: logs.ts | head
  process.stdout.once('error', stop)
  for await (const line of lines) print(line)
  return interruption.aborted ? (interruption.reason as Failure).exitCode : 0
}

await main(command, async (options, [service]) => {
  const { compose, docker } = await import('../lib/docker/commands.ts')
  const { composeFiles } = await import('../lib/docker/release_pins.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const { project, services } = await openStack()
  if (service !== undefined && !services.includes(service))
    throw usage(`there is no service ${JSON.stringify(service)}`, `one of: ${services.join(', ')}`)

  const flags = ['--tail', options.tail ?? '100', ...(options['no-follow'] ? [] : ['--follow'])]
  const { isSwarm, serviceIds } = await import('../lib/docker/swarm.ts')
  // Of all at once Compose shows those that are its own.
  const tasks = service !== undefined && isSwarm() ? await serviceIds(project, service) : []
  if (tasks.length > 0) {
    const of = docker('service', 'logs', '--no-trunc', ...flags, tasks.at(-1)!)
    return show(of)
  }
  return show(
    compose(
      composeFiles(),
      '--ansi',
      process.stdout.isTTY ? 'always' : 'never',
      'logs',
      ...flags,
      ...(service === undefined ? [] : [service]),
    ),
  )
})
