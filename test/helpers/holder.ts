// Holds a command of bash as lib/run.ts does, and ends as a script does; the command knows this process as $HOLDER.
import { main } from '../../lib/main.ts'

process.env.HOLDER = String(process.pid)

await main(
  { usage: 'holder.ts <kind> <program>', summary: '', words: [2, 2], options: {}, examples: [], local: true },
  async (_, [kind = '', text = '']) => {
    const { attempt, follow, hold } = await import('../../lib/run.ts')
    const { sleep } = await import('../../lib/signals.ts')
    const command = ['bash', '-c', text]
    if (kind === 'hold') await hold(command)
    if (kind === 'attempt') await attempt(command)
    if (kind === 'follow') for await (const line of follow(command).lines) process.stdout.write(line)
    await sleep(60_000)
  },
)
