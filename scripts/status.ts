import { setTimeout as pause } from 'node:timers/promises'
import { usage } from '../lib/errors.ts'
import { main } from '../lib/main.ts'
import { print } from '../lib/say.ts'
import { interruption } from '../lib/signals.ts'

const command = {
  usage: 'status.ts [options]',
  summary: 'Shows every service, its health, the live releases and the last deploys. Ends with 1 when anything is not healthy.',
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
  const { openStack } = await import('../lib/stack.ts')
  const { readState, stateText } = await import('../lib/state.ts')
  const stack = await openStack()

  for (;;) {
    const state = await readState(stack, 5)
    const clear = options.watch && process.stdout.isTTY ? '\u001b[2J\u001b[H' : ''
    print(clear + (options.json ? JSON.stringify(state) : stateText(state)))
    if (!options.watch) return state.healthy ? 0 : 1
    await pause(2000, undefined, { signal: interruption }).catch(() => {})
    if (interruption.aborted) return 130
  }
})
