// Holds a command of bash as lib/system/run.ts does, and ends as a script does; the command knows this process as
// $HOLDER.
import { main } from '../../lib/cli/main.ts'

await main(
  { usage: 'holder.ts <kind> <program>', summary: '', words: [2, 2], options: {}, examples: [], local: true },
  async (_, [kind = '', text = '']) => {
    const { attempt, capture, follow, hold, show } = await import('../../lib/system/run.ts')
    const { onInterruption, shielded, sleep } = await import('../../lib/system/signals.ts')
    // Only now: what tsx starts to read these modules is no child of the command.
    process.env.HOLDER = String(process.pid)
    const command = ['bash', '-c', text]
    if (kind === 'hold') await hold(command)
    if (kind === 'attempt') await attempt(command)
    if (kind === 'follow') for await (const line of follow(command).lines) process.stdout.write(line)
    // Another work, which cleans up because of the signal, is shielded until the command has ended.
    const beside = async (work: Promise<unknown>) => {
      onInterruption(() => void shielded(() => work.catch(() => {})))
      await work
    }
    if (kind === 'capture beside what is shielded') await beside(capture(command))
    if (kind === 'show beside what is shielded') await beside(show(command))
    await sleep(60_000)
  },
)
