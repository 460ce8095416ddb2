// What people read goes to stderr; stdout carries the result alone.
import type { ChalkInstance } from 'chalk'
import { size } from '../system/format.ts'
import { terminal } from '../system/environment.ts'
import { type Reporter, reportTo } from '../system/progress.ts'

const colour = terminal && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

let painter: ChalkInstance | undefined

const painted = (name: 'cyan' | 'dim' | 'green' | 'red' | 'yellow') => (text: string) => painter?.[name](text) ?? text

/** Colours for stderr: none before useColours. */
export const paint = {
  cyan: painted('cyan'),
  dim: painted('dim'),
  green: painted('green'),
  red: painted('red'),
  yellow: painted('yellow'),
}

/**
 * Colours what is shown from here on: not without a terminal, and not when NO_COLOR is set (chalk alone ignores it on a
 * terminal).
 */
export function useColours(chalk: (level: 0 | 1) => ChalkInstance) {
  painter = chalk(colour ? 1 : 0)
}

/** Shows what is told from here on. */
export function startTerminal() {
  reportTo(reporter)
  // The terminal can vanish under a running deploy (a lost ssh connection); that must not stop the deploy.
  process.stderr.on('error', () => {})
  process.stdout.on('error', () => {})
}

// oxlint-disable-next-line no-control-regex -- they are what it is about
const COLOUR = /^\u001B\[(?:(?:[0-2]|22|[39][0-79]);?)*m$/

/**
 * A text that a terminal shows and does not obey, since logs, answers and commits are written by others: no control
 * character but line ends, tabs and colours, and none that turns the direction of writing.
 */
export function harmless(text: string) {
  // oxlint-disable-next-line no-control-regex -- the same
  return text.replace(/(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]|[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, control =>
    /^[\n\t]$/.test(control) || COLOUR.test(control) ? control : '',
  )
}

const line = (text: string) => void process.stderr.write(`${harmless(text)}\n`)

/** How fast bytes come: on one line of a terminal, elsewhere with a line a minute. */
const transfer: Reporter['transfer'] = (bytes, estimate) => {
  const started = performance.now()
  const text = () => {
    const now = bytes()
    const rate = now / Math.max((performance.now() - started) / 1000, 0.001)
    const of = estimate === undefined || estimate < now ? '' : ` of about ${size(estimate)}`
    return paint.dim(`  ${size(now)}${of}, ${size(rate)}/s`)
  }
  const timer = setInterval(
    () => (terminal ? process.stderr.write(`\r\u001B[K${text()}`) : line(text())),
    terminal ? 500 : 60_000,
  )
  const end = () => {
    clearInterval(timer)
    if (terminal) process.stderr.write('\r\u001B[K')
    // What was there at once needs no rate.
    if (performance.now() - started > 1000) line(text())
  }
  return { end }
}

const reporter: Reporter = {
  line,
  step: text => line(`${paint.cyan('→')} ${text}`),
  done: text => line(`${paint.green('✓')} ${text}`),
  bad: text => line(`${paint.red('✗')} ${text}`),
  warn: text => line(`${paint.yellow('warning:')} ${text}`),
  detail: text => line(paint.dim(`  ${text}`)),
  transfer,
}

/** The result of a command, on stdout. */
export function print(text: string) {
  process.stdout.write(`${harmless(text)}\n`)
}
