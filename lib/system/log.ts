// What people read goes to stderr; stdout carries the result alone.
import type { ChalkInstance } from 'chalk'

/** A person is looking: over ssh the other side says so. */
export const terminal = process.stderr.isTTY === true || process.env.AVRIL_TERMINAL === '1'

const colour = terminal && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

let painter: ChalkInstance | undefined

const painted = (name: 'cyan' | 'dim' | 'green' | 'red' | 'yellow') => (text: string) => painter?.[name](text) ?? text

/** Colours for stderr: none before startLog. */
export const paint = {
  cyan: painted('cyan'),
  dim: painted('dim'),
  green: painted('green'),
  red: painted('red'),
  yellow: painted('yellow'),
}

/**
 * Colours what is said from here on: not without a terminal, and not when NO_COLOR is set (chalk alone ignores it on a
 * terminal).
 */
export function startLog(chalk: (level: 0 | 1) => ChalkInstance) {
  painter = chalk(colour ? 1 : 0)
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

let spoken = performance.now()

export function line(text: string) {
  spoken = performance.now()
  process.stderr.write(`${harmless(text)}\n`)
}

/** For how many milliseconds nothing was said. */
export function silence() {
  return performance.now() - spoken
}

export const say = {
  line,
  step: (text: string) => line(`${paint.cyan('→')} ${text}`),
  done: (text: string) => line(`${paint.green('✓')} ${text}`),
  bad: (text: string) => line(`${paint.red('✗')} ${text}`),
  warn: (text: string) => line(`${paint.yellow('warning:')} ${text}`),
  detail: (text: string) => line(paint.dim(`  ${text}`)),
}

/** The result of a command, on stdout. */
export function print(text: string) {
  process.stdout.write(`${harmless(text)}\n`)
}
