// Rollouts of releases that are as good as the one before, each of them observed under load: none may be taken back.
import { Failure } from '../../lib/system/errors.ts'
import { say } from '../../lib/system/progress.ts'
import { buildTwo, deploy } from './deploy.ts'
import { figuresOf, type Outcome } from './figures.ts'
import type { Settings } from './parts.ts'
import type { Site } from './site.ts'
import { underLoad } from './under_load.ts'

/** seconds */
const OBSERVED = 10

export async function observed(site: Site, { rollouts: times, rate }: Settings): Promise<Outcome> {
  const figures = figuresOf('observed')
  const releases = await buildTwo(site)
  const load = { rate, rates: { websocket: 0 } }
  const { result, report } = await underLoad(site, load, async ({ doing, quiet }) => {
    const takenBack: string[] = []
    for (let index = 1; index <= times; index += 1) {
      const what = `rollout ${index} of ${times}`
      doing(`before ${what}`)
      // What the one before has cost is no part of what the next is compared with.
      await quiet(OBSERVED)
      const words = ['--observe', String(OBSERVED), '--probation', '0', '--to', releases[(index + 1) % 2] ?? '']
      try {
        await deploy(site, words, phase => doing(`${what}: ${phase}`))
      } catch (error) {
        if (!(error instanceof Failure) || !/worse than the one before/.test(error.message)) throw error
        takenBack.push(error.message)
        say.bad(`${what}: ${error.message}`)
      }
    }
    return takenBack
  })
  return {
    figures: [
      figures.noneFailed(`${times} rollouts, observed for ${OBSERVED} s each, ${rate} requests a second`, report),
      figures.most('  good releases that were taken back', result.length, 0, ''),
    ],
    details: { takenBack: result, failures: report.failures, lateness: report.lateness },
  }
}
