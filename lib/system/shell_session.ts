// A shell somewhere else (in a container) that runs one command after another: what it costs to get there is paid once.
import { randomUUID } from 'node:crypto'
import { converse, onEnd, type Outcome, outcomeOf, type RunOptions, TERMINATED } from './run.ts'
import { quoteWord } from './shell.ts'
import { checkInterruption } from './signals.ts'

/** Runs a command in some place to its end, as `attempt` does on this machine. */
export type Run = (
  command: string[],
  options?: Pick<RunOptions, 'signal'> & {
    /** milliseconds that it may take, where that is bounded */
    patience?: number
    /** text for its standard input; without it there is none */
    input?: string
  },
) => Promise<Outcome>

export interface ShellSession {
  run: Run
  /** it has ended, and runs no more commands */
  isOver: () => boolean
  end: () => void
}

// Collects what a stream says, until it says the words of an end.
const listen = (stream: NodeJS.ReadableStream, onText: () => void) => {
  const decoder = new TextDecoder()
  const heard = { text: '' }
  stream.on('data', (chunk: Buffer) => {
    heard.text += decoder.decode(chunk, { stream: true })
    onText()
  })
  return heard
}

/**
 * Starts `command`, which must be a POSIX shell that reads commands from its standard input. It ends with this process,
 * however that ends; what it runs then ends by itself.
 */
export function openShell(command: string[], engine?: string): ShellSession {
  const { child, letGo, keepAlive } = converse(command, engine)
  // What a command prints may come from anybody, but nobody there knows this.
  const mark = randomUUID()
  let over = false
  let onText = () => {}
  const output = listen(child.stdout, () => onText())
  const errors = listen(child.stderr, () => onText())
  const awaitEnd = async (): Promise<Outcome> => {
    const { code } = outcomeOf(await child)
    over = true
    return { code, stdout: output.text, stderr: errors.text }
  }
  const ended = awaitEnd()
  // It may end while nobody waits for it.
  ended.catch(() => {})
  keepAlive(false)

  const answer = (): Outcome | undefined => {
    const end = new RegExp(`\n${mark} (\\d+)\n$`).exec(output.text.slice(-mark.length - 10))
    if (!end || !errors.text.endsWith(`\n${mark}\n`)) return undefined
    return {
      code: Number(end[1]),
      stdout: output.text.slice(0, -end[0].length),
      stderr: errors.text.slice(0, -mark.length - 2),
    }
  }

  const run: Run = async (words, options = {}) => {
    checkInterruption()
    if (options.signal?.aborted) return { code: TERMINATED, stdout: '', stderr: '' }
    output.text = ''
    errors.text = ''
    const told = new Promise<Outcome>(resolve => {
      onText = () => {
        const found = answer()
        if (found) resolve(found)
      }
    })
    let stopped = false
    const { forget, check } = onEnd(options, () => {
      stopped = true
      over = true
      letGo(0)
    })
    keepAlive(true)
    const command = words.map(quoteWord).join(' ')
    // In base64 it can be nothing but data.
    const input = options.input === undefined ? undefined : Buffer.from(options.input).toString('base64')
    child.stdin.write(
      `${input === undefined ? `${command} </dev/null` : `printf %s '${input}' | base64 -d | ${command}`}; printf ` +
        `'\\n${mark} %s\\n' "$?"; printf '\\n${mark}\\n' >&2\n`,
    )
    try {
      const outcome = await Promise.race([told, ended])
      check()
      return stopped ? { ...outcome, code: TERMINATED } : outcome
    } finally {
      forget()
      keepAlive(false)
    }
  }
  return { run, isOver: () => over, end: () => letGo(0) }
}
