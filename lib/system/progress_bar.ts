// How far a long transfer is.
import { size } from './format.ts'
import { line, paint, terminal } from './log.ts'

/** Shows how many bytes have come, and how fast: on one line of a terminal, elsewhere with a line a minute. */
export function transfer(bytes: () => number, estimate: number | undefined) {
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
