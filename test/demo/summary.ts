// The words at the end of the demo.
import { seconds } from '../../lib/system/format.ts'
import { summary as loadSummary } from '../load/load.ts'
import { between, type Report, splitByMarks } from '../load/report.ts'
import { type Site, stopCommand, tryCommands } from './site.ts'

export interface Measured {
  report: Report
  /** seconds per phase of the second deploy */
  phases: Record<string, number>
  /** milliseconds per step */
  steps: Record<string, number>
}

/** Left out of what is compared: connections are opened, and Node compiles what it runs. */
const WARM_UP = 1000

/** The p99 (ms) before the deploy and during it, of the requests that are not slow on purpose. */
export function p99Of(report: Pick<Report, 'rows' | 'marks' | 'seconds'>) {
  const [before, during] = splitByMarks(report)
  return { before: between(report.rows, WARM_UP, before?.to ?? 0).fast.p99, during: during?.fast.p99 ?? 0 }
}

/** Milliseconds beyond which the load itself was late, and the site slow before anything was deployed. */
const LATE = 20
const SLOW = 500

const busyLine = ({ lateness, rate }: Report, before: number) => {
  if (lateness.p99 <= LATE && before <= SLOW) return []
  return [
    `This machine is too busy, or too small, for ${rate} requests a second; fewer: ` +
      `DEMO_RATE=${Math.ceil(rate / 2)} npm run demo`,
  ]
}

const failures = (report: Report) => {
  const parts = splitByMarks(report).map(({ label, failed }) => `${failed} ${label}`)
  return report.failed === 0 ? [] : [`failed   ${parts.join(', ')}`, loadSummary(report), '']
}

const listed = (entries: [string, number][]) =>
  entries.map(([name, milliseconds]) => `${name} ${seconds(milliseconds)}`).join(' · ')

/** What was measured. */
export function results({ report, phases, steps }: Measured) {
  const { before, during } = p99Of(report)
  const { sent, failed, seconds: time } = report
  const deploy = Object.entries(phases).map(([name, spent]): [string, number] => [name, spent * 1000])
  return [
    `${sent} requests sent in ${time.toFixed(1)} s, ${failed} failed`,
    `p99      ${before.toFixed(1)} ms before, ${during.toFixed(1)} ms during the deploy`,
    `phases   ${listed(deploy)}`,
    `steps    ${listed(Object.entries(steps))}`,
    ...failures(report),
    ...busyLine(report, before),
    'The very same load against the old procedure (scale to two, reload nginx, stop) loses requests: see npm run ' +
      'bench.',
  ].join('\n')
}

/** What to do next. */
export function farewell(site: Site) {
  return [
    `the site   ${site.url}`,
    `try it     ${tryCommands(site).join('\n           ')}`,
    `stop it    ${stopCommand(site)}`,
  ].join('\n')
}
