// The picture of the README: the old procedure above, a rollout below, on the same scales.
import type { TimedPhase } from '../load/old_procedure.ts'
import { drawChart } from '../load/chart.ts'
import { READY_AFTER } from './site.ts'
import type { Run } from './old.ts'

// What comes before the new instance's start takes a moment each: one word has room.
const BEFORE_START = new Set(['begin', 'plan', 'build', 'migrate'])

const joined = (phases: readonly TimedPhase[]) => {
  const begin = phases.filter(({ label }) => BEFORE_START.has(label))
  const [first, last] = [begin[0], begin.at(-1)]
  const rest = phases.filter(({ label }) => !BEFORE_START.has(label))
  return first && last ? [{ label: 'plan', from: first.from, to: last.to }, ...rest] : rest
}

const panelOf = (title: string, { report, phases }: Run) => ({
  title,
  seconds: report.seconds,
  timeline: report.timeline,
  phases: joined(phases),
})

export function drawComparison(old: Run, ours: Run, rate: number) {
  return drawChart({
    title: 'Replacing a running application, requests answered and failed',
    note:
      `${rate} requests a second through nginx, POSTs, 3-second requests and a websocket among them; ` +
      `the app needs ${READY_AFTER} s to get ready.`,
    panels: [
      panelOf('Before: scale to two, wait for health, reload nginx, stop the old one', old),
      panelOf('Now: scripts/deploy_local.ts', ours),
    ],
  })
}
