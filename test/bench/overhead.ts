// What a rollout costs beyond what the app itself needs, what comes before its first phase, and what its visitors feel
// of it. Both releases are built before; there is no probation and no open websocket, which would hold the drain up by
// rule and not by work.
import { docker, removeContainers } from '../../lib/docker/commands.ts'
import { capture } from '../../lib/system/run.ts'
import { say } from '../../lib/system/progress.ts'
import { between, type Report } from '../load/report.ts'
import { buildTwo, deploy, type Deploy, spentIn } from './deploy.ts'
import { type EngineTimes, watchEngine } from './engine_times.ts'
import { figuresOf, medianOf, type Outcome } from './figures.ts'
import type { Settings } from './parts.ts'
import { phasesText } from './rollouts.ts'
import { READY_AFTER, type Site } from './site.ts'
import { type Running, underLoad } from './under_load.ts'

const BEFORE = 8
const SETTLE = 3

/** the slow requests of the load: some are always in flight */
const LONGEST = 3

interface Measured extends Deploy, EngineTimes {
  /** seconds since the load started */
  at: number
}

// The rollout proper: from the first sign of the new instance to the command's end.
const rolloutOf = (it: Measured) => it.wall - beforeOf(it) - spentIn(it, 'migrate')
const beforeOf = (it: Measured) => spentIn(it, 'begin', 'plan', 'build')
const untilBuild = (it: Measured) => spentIn(it, 'begin', 'plan')
const overheadOf = (it: Measured) => rolloutOf(it) - it.healthy - it.state - LONGEST

const seconds = (value: number) => `${value.toFixed(2)} s`

const measure = async (
  site: Site,
  releases: readonly [string, string],
  times: number,
  { now, doing, quiet }: Running,
) => {
  const engine = watchEngine(site)
  const done: Measured[] = []
  try {
    for (let index = 1; index <= times; index += 1) {
      const what = `rollout ${index} of ${times}`
      doing(`before ${what}`)
      await quiet(SETTLE + BEFORE)
      const at = now()
      const words = ['--probation', '0', '--to', releases[(index + 1) % 2] ?? '']
      const made = await deploy(site, words, phase => doing(`${what}: ${phase}`))
      done.push({ at, ...made, ...(await engine.timesSince(made.started)) })
      say.done(`${what}: overhead ${done.slice(-1).map(overheadOf).map(seconds).join()}; ${phasesText(done.slice(-1))}`)
    }
    return done
  } finally {
    await engine.stop()
  }
}

/**
 * The same app, started as often without a switch: what its start alone takes of the cores that the visitors need too.
 */
const startAlone = async ({ folder, service }: Site, times: number, { now, doing, quiet }: Running) => {
  const done: { at: number; wall: number }[] = []
  for (let index = 1; index <= times; index += 1) {
    doing(`before start ${index} of ${times}`)
    await quiet(SETTLE + BEFORE)
    const at = now()
    doing(`start ${index} of ${times}`)
    const words = ['compose', 'run', '--detach', '--no-deps', service]
    const name = await capture(docker(...words), { cwd: folder })
    await quiet(READY_AFTER + SETTLE)
    await capture(removeContainers([name]))
    done.push({ at, wall: now() - at })
  }
  return done
}

const p99sOf = (rows: Report['rows'], spans: readonly { at: number; wall: number }[]) =>
  spans.map(({ at, wall }) => {
    const before = between(rows, (at - BEFORE) * 1000, at * 1000).fast.p99
    const during = between(rows, at * 1000, (at + wall) * 1000).fast.p99
    return { before, during, ratio: during / before }
  })

type P99s = ReturnType<typeof p99sOf>

const resultsOf = (result: readonly Measured[], report: Report, p99s: P99s, alone: P99s) => {
  const figures = figuresOf('overhead')
  const ofMedian = (number: (it: Measured) => number) => seconds(medianOf(result, number))
  const milliseconds = (number: (it: P99s[number]) => number) => `${medianOf(p99s, number).toFixed(1)} ms`
  return [
    figures.noneFailed(`${result.length} rollouts of releases that were built before`, report),
    figures.plain(
      'wall time of the command (medians from here on)',
      ofMedian(({ wall }) => wall),
    ),
    figures.most(
      '  of it: before the first phase (Node, checks, the lock, the plan)',
      medianOf(result, untilBuild),
      1,
      's',
    ),
    figures.plain(
      '  of that: before the plan',
      ofMedian(it => spentIn(it, 'begin')),
    ),
    figures.plain(
      "  of it: the migration, its container's start and removal",
      ofMedian(it => spentIn(it, 'migrate')),
    ),
    figures.plain(
      "  of that: the migration's own time",
      ofMedian(({ migration }) => migration),
    ),
    figures.plain('the rollout: from the new instance to the end of the command', ofMedian(rolloutOf)),
    figures.plain(
      '− the app\'s own start: container\'s start to the event "healthy"',
      ofMedian(({ healthy }) => healthy),
    ),
    figures.plain(
      "− the app's own saving of its sessions, before the switch and after the drain",
      ofMedian(({ state }) => state),
    ),
    figures.plain('− the longest request in flight', seconds(LONGEST)),
    figures.most('= overhead', medianOf(result, overheadOf), 0.5, 's'),
    figures.plain(
      '  for scale: from the line that it listens to that event',
      ofMedian(({ ready, healthy }) => healthy - ready),
    ),
    figures.plain('seconds a phase', phasesText(result)),
    figures.plain(
      'p99 of fast requests before',
      milliseconds(({ before }) => before),
    ),
    figures.plain(
      'p99 of fast requests during',
      milliseconds(({ during }) => during),
    ),
    figures.most(
      'p99 during against before',
      medianOf(p99s, ({ ratio }) => ratio),
      1.2,
      '×',
      1,
    ),
    figures.plain(
      '  of it: while the same app is started without a switch',
      `${medianOf(alone, ({ ratio }) => ratio).toFixed(1)} ×`,
    ),
  ]
}

export async function overhead(site: Site, { rollouts, rate }: Settings): Promise<Outcome> {
  const times = Math.max(2, Math.ceil(rollouts / 2))
  const releases = await buildTwo(site)
  const load = { rate, rates: { websocket: 0 } }
  const { result, report } = await underLoad(site, load, async running => ({
    rollouts: await measure(site, releases, times, running),
    starts: await startAlone(site, times, running),
  }))
  const p99s = p99sOf(report.rows, result.rollouts)
  const alone = p99sOf(report.rows, result.starts)
  const each = result.rollouts.map((it, index) => ({ ...it, overhead: overheadOf(it), p99: p99s[index] }))
  const { failures, lateness } = report
  return {
    figures: resultsOf(result.rollouts, report, p99s, alone),
    details: { rollouts: each, alone, failures, lateness },
  }
}
