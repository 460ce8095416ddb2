// What is going on right now: a few rows that are redrawn in place. Without a terminal they become one plain line now
// and then.
import { say } from '../../lib/system/progress.ts'
import { paint } from '../../lib/cli/terminal.ts'

export interface Row {
  label: string
  text: string
  bad?: boolean
}

const terminal = process.stderr.isTTY === true && process.env.TERM !== 'dumb'
const REDRAWN_EVERY = 200

/** The rows as lines that fit on a terminal of this width, since one that wraps could not be taken away again. */
export function fitted(rows: Row[], width: number) {
  const indent = Math.max(...rows.map(({ label }) => label.length)) + 4
  return rows.map(({ label, text, bad }) => {
    const shown = text.replaceAll(/[^\P{C}]/gu, ' ').slice(0, Math.max(0, width - 1 - indent))
    return paint.cyan(`  ${label}`.padEnd(indent)) + (bad ? paint.red(shown) : shown)
  })
}

/** The same for a log. */
export function plain(rows: Row[]) {
  return rows.map(({ label, text }) => `${label} ${text}`.trim()).join(' · ')
}

const startBlock = (draw: () => Row[]) => {
  const { stderr } = process
  const write = stderr.write.bind(stderr)
  let height = 0
  const above = () => (height > 0 ? `\u001b[${height}A\r\u001b[J` : '')
  const redraw = () => {
    const lines = fitted(draw(), stderr.columns || 80)
    write(`${above()}${lines.join('\n')}\n`)
    height = lines.length
  }
  const erase = () => {
    write(above())
    height = 0
  }
  const timer = setInterval(redraw, REDRAWN_EVERY)
  // Whatever else is written, also by a signal's handler, stands above the rows; they come back soon.
  stderr.write = ((...words: Parameters<typeof write>) => {
    erase()
    return write(...words)
  }) as typeof write
  return () => {
    clearInterval(timer)
    erase()
    stderr.write = write
  }
}

/**
 * Shows what `draw` gives until the function that it returns is called; without a terminal at these intervals
 * (seconds).
 */
export function startView(draw: () => Row[], interval: number) {
  if (terminal) return startBlock(draw)
  const timer = setInterval(() => say.line(`  ${plain(draw())}`), interval * 1000)
  return () => clearInterval(timer)
}
