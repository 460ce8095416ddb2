// Rollouts in a row under load, each with a commit of its own: fetched, built, migrated, replaced. No request may fail.
import { say } from '../../lib/system/progress.ts'
import { between } from '../load/report.ts'
import { deploy, type Deploy, spentIn } from './deploy.ts'
import { figuresOf, medianOf, type Outcome, websocketFigures } from './figures.ts'
import type { Settings } from './parts.ts'
import { DRAIN_SECONDS, type Site } from './site.ts'
import { underLoad } from './under_load.ts'
import { cutsIn, lostIn, reloadsOf } from './websocket.ts'

const BEFORE = 5

interface Timed extends Deploy {
  /** seconds since the load started */
  at: number
}

/** One line about a deploy. */
export function phasesText(deploys: readonly Pick<Deploy, 'phases'>[]) {
  const labels = [...new Set(deploys.flatMap(({ phases }) => phases.map(({ label }) => label)))]
  return labels.map(label => `${label} ${medianOf(deploys, it => spentIn(it, label)).toFixed(2)}`).join(' · ')
}

export async function rollouts(site: Site, { rollouts: times, rate }: Settings): Promise<Outcome> {
  const figures = figuresOf('rollouts')
  say.step('a first deploy, which is an update of what Compose started by itself')
  await deploy(site, ['--probation', '0', '--to', await site.commit()])
  const { result, report } = await underLoad(site, { rate }, async ({ now, doing, quiet }) => {
    const done: Timed[] = []
    for (let index = 1; index <= times; index += 1) {
      const what = `rollout ${index} of ${times}`
      const commit = await site.commit()
      doing(`before ${what}`)
      await quiet(BEFORE)
      const at = now()
      done.push({ at, ...(await deploy(site, ['--to', commit], phase => doing(`${what}: ${phase}`))) })
      say.done(`${what}: ${phasesText(done.slice(-1))}`)
    }
    // What a rollout breaks may show some seconds later.
    await quiet(DRAIN_SECONDS)
    return done
  })
  const ratio = ({ at, wall }: Timed) => {
    const before = between(report.rows, (at - BEFORE + 1) * 1000, at * 1000).fast.p99
    return between(report.rows, at * 1000, (at + wall) * 1000).fast.p99 / before
  }
  const switched = result.flatMap(({ at, phases }) =>
    reloadsOf(phases).map(({ from, to }) => ({ from: at + from, to: at + to })),
  )
  const cuts = cutsIn(report, switched)
  return {
    figures: [
      figures.noneFailed(`${times} rollouts in a row, ${rate} requests a second`, lostIn(report, cuts)),
      ...websocketFigures('rollouts', cuts),
      figures.plain('time of a rollout (median)', `${medianOf(result, ({ wall }) => wall).toFixed(1)} s`),
      figures.plain('seconds a phase (median)', phasesText(result)),
      figures.plain('p99 during a rollout with its build, against before', `${medianOf(result, ratio).toFixed(1)} ×`),
      figures.plain('the load itself was late (p99)', `${report.lateness.p99.toFixed(1)} ms`),
    ],
    details: {
      rollouts: result,
      websocket: cuts,
      failures: report.failures,
      kinds: report.kinds,
      lateness: report.lateness,
    },
  }
}
