// The load generator, to be imported or run as a command: a live line on stderr, the summary on stdout.
import { once } from 'node:events'
import { realpathSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Load, startLoad } from './generator.ts'
import { assertRan, type Report, type Stats } from './report.ts'
import type { Rates } from './schedule.ts'

export { type Load, type LoadOptions, startLoad } from './generator.ts'
export type { Report } from './report.ts'

const HELP = `Usage: tsx test/load/load.ts --url URL [options]

Sends requests at a constant rate and counts each one that gets no right answer. Ends with 1 when one failed.

  --url URL             where to: http://127.0.0.1:8080
  --base PATH           the app's base path: /mon-espace
  --path PATH           what is asked for there (/version)
  --rate N              requests a second (250)
  --seconds N           for how long (30)
  --until-stdin-closes  until standard input ends instead; each line that is read there becomes a mark
  --post N              of these, POSTs a second (a tenth)
  --slow N              of these, 3-second requests a second (3)
  --websocket N         of these, messages a second on the websocket (2); 0 opens none
  --upload N            of these, uploads a second whose body comes slowly (0)
  --long S              how long the body of one takes (20)
  --timeout MS          after which a request counts as failed (30000)
  --drain S             how long a websocket is kept after its instance was replaced: later cuts are no failures
  --json FILE           the whole report, with every request
  --help
`

const OPTIONS = {
  url: { type: 'string' },
  base: { type: 'string', default: '' },
  path: { type: 'string' },
  rate: { type: 'string', default: '250' },
  seconds: { type: 'string', default: '30' },
  'until-stdin-closes': { type: 'boolean', default: false },
  post: { type: 'string' },
  slow: { type: 'string' },
  websocket: { type: 'string' },
  upload: { type: 'string' },
  long: { type: 'string', default: '20' },
  timeout: { type: 'string', default: '30000' },
  drain: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

const statsLine = (name: string, { sent, answered, failed, p50, p99, max }: Stats) => {
  const counts = [sent, answered, failed].map(count => String(count).padStart(8))
  const times = [p50, p99, max].map(ms => ms.toFixed(1).padStart(9))
  return [name.padEnd(10), ...counts, ...times].join(' ')
}

const whole = (ms: number) => `${ms.toFixed(0)} ms`

const failureLine = ({ at, kind, code, reused }: Report['failures'][number]) =>
  `failed: ${kind} at ${whole(at)}: ${code}${reused ? ' (reused connection)' : ''}`

/** The report for people. */
export function summary(report: Report) {
  const { planned, sent, failed, failures, kinds, instances, seconds, lateness, websocketReconnects } = report
  const shown = Object.entries(kinds).filter(([, stats]) => stats.sent > 0)
  return [
    `${failed} of ${sent} requests failed in ${seconds.toFixed(1)} s`,
    `${planned} were planned; the latest was sent ${whole(lateness.max)} after its time`,
    'kind           sent answered   failed    p50 ms    p99 ms    max ms',
    ...shown.map(([kind, stats]) => statsLine(kind, stats)),
    ...instances.map(
      ({ instance, first, last, answered }) => `${instance}: ${answered} from ${whole(first)} to ${whole(last)}`,
    ),
    ...websocketReconnects.map(({ at, code }) => `websocket closed with ${code} at ${whole(at)}`),
    ...failures.map(failureLine),
  ].join('\n')
}

const liveLine = (load: Load) => {
  const { seconds, sent, failed, open, lastSecond, instance } = load.snapshot()
  const totals = [`${seconds.toFixed(0)} s`, `${sent} sent`, `${failed} failed`, `${open} open`]
  const fields = [...totals, `p99 ${whole(lastSecond.fast.p99)}`, instance]
  process.stderr.write(`${fields.join(' · ')}\n`)
}

const untilStdinCloses = async (load: Load) => {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', label => load.mark(label))
  await once(lines, 'close')
}

const ratesFrom = (values: Partial<Record<keyof Rates, string>>) => {
  const asked = (['post', 'slow', 'websocket', 'upload'] as const).filter(kind => values[kind] !== undefined)
  const rates: Partial<Rates> = {}
  for (const kind of asked) rates[kind] = Number(values[kind])
  return rates
}

const generate = async (values: ReturnType<typeof parse>) => {
  const { url, base, path, rate, seconds, timeout, long, drain = Infinity, json } = values
  if (url === undefined) throw new TypeError('--url is missing')
  const paths = path === undefined ? {} : { get: path }
  const times = { timeout: Number(timeout), long: Number(long), drain: Number(drain) }
  const load = startLoad({ url, base, paths, rate: Number(rate), rates: ratesFrom(values), ...times })
  const live = setInterval(() => liveLine(load), 1000)
  await (values['until-stdin-closes'] ? untilStdinCloses(load) : wait(Number(seconds) * 1000))
  clearInterval(live)
  const report = await load.stop()
  if (json !== undefined) writeFileSync(json, JSON.stringify(report))
  process.stdout.write(`${summary(report)}\n`)
  assertRan(report)
  return report.failed === 0 ? 0 : 1
}

const parse = (args: string[]) => parseArgs({ args, options: OPTIONS }).values

const runCommand = async (args: string[]) => {
  try {
    const values = parse(args)
    if (values.help) process.stdout.write(HELP)
    else process.exitCode = await generate(values)
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof TypeError || error instanceof RangeError ? 64 : 1
  }
}

const [, script, ...words] = process.argv
if (script !== undefined && realpathSync(script) === import.meta.filename) await runCommand(words)
