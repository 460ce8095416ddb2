// What people read goes to stderr; stdout carries the result alone.
import { Chalk } from './packages.ts'

/** A person is looking: over ssh the other side says so. */
export const terminal = process.stderr.isTTY === true || process.env.AVRIL_TERMINAL === '1'

const colour = terminal && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

/**
 * Colours for stderr: none without a terminal, and none when NO_COLOR is set (chalk alone ignores it on a terminal).
 */
export const paint = new Chalk({ level: colour ? 1 : 0 })

// The terminal can vanish under a running deploy (a lost ssh connection); that must not stop the deploy.
process.stderr.on('error', () => {})
process.stdout.on('error', () => {})

// oxlint-disable-next-line no-control-regex -- they are what it is about
const COLOUR = /^\u001B\[(?:(?:[0-2]|22|[39][0-79]);?)*m$/

/**
 * A text that a terminal shows and does not obey, since logs, answers and commits are written by others: no control
 * character but line ends, tabs and colours, and none that turns the direction of writing.
 */
export const harmless = (text: string) =>
  // oxlint-disable-next-line no-control-regex -- the same
  text.replace(/(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]|[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, control =>
    /^[\n\t]$/.test(control) || COLOUR.test(control) ? control : '',
  )

let spoken = performance.now()

const line = (text: string) => {
  spoken = performance.now()
  process.stderr.write(`${harmless(text)}\n`)
}

/** For how many milliseconds nothing was said. */
export const silence = () => performance.now() - spoken

export const say = {
  line,
  step: (text: string) => line(`${paint.cyan('→')} ${text}`),
  done: (text: string) => line(`${paint.green('✓')} ${text}`),
  bad: (text: string) => line(`${paint.red('✗')} ${text}`),
  warn: (text: string) => line(`${paint.yellow('warning:')} ${text}`),
  detail: (text: string) => line(paint.dim(`  ${text}`)),
}

/** The result of a command, on stdout. */
export const print = (text: string) => void process.stdout.write(`${harmless(text)}\n`)

/** "0.4 s", "75 s" */
export const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(milliseconds < 100_000 ? 1 : 0)} s`

/** The age of something in the unit that people would use: "3 days", "5 minutes". */
export const age = (since: Date, now = new Date()) => {
  const minutes = Math.floor((now.getTime() - since.getTime()) / 60_000)
  if (minutes < 1) return 'less than a minute'
  const [count, unit] =
    minutes < 60
      ? [minutes, 'minute']
      : minutes < 48 * 60
        ? [Math.floor(minutes / 60), 'hour']
        : [Math.floor(minutes / 1440), 'day']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

/** "812 bytes", "61.3 MB", "2.1 GB" */
export const size = (bytes: number) => {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3))
  return `${power === 0 ? Math.round(bytes) : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`
}

/** Shows how many bytes have come, and how fast: on one line of a terminal, elsewhere with a line a minute. */
export const transfer = (bytes: () => number, estimate: number | undefined) => {
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
