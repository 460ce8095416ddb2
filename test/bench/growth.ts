// The same with more instances: each is replaced in turn, so the time grows with their number and no faster.
import { say } from '../../lib/system/progress.ts'
import { buildTwo, deploy, type Deploy, spentIn } from './deploy.ts'
import { type Figure, figuresOf, medianOf, type Outcome } from './figures.ts'
import type { Settings } from './parts.ts'
import { phasesText } from './rollouts.ts'
import type { Site } from './site.ts'
import { underLoad } from './under_load.ts'

const REPLICAS = [1, 2, 4]

// A tenth more for each instance is the noise of a machine that runs all of them.
const TOLERANCE = 1.1

// What is done once, however many there are, is left out.
const each = (made: Deploy, replicas: number) => spentIn(made, 'start', 'healthy', 'switch', 'drain', 'stop') / replicas

const withReplicas = async (
  site: Site,
  releases: readonly [string, string],
  replicas: number,
  { rollouts, rate }: Settings,
) => {
  const times = Math.max(1, Math.ceil(rollouts / 10))
  site.set({ PHOENIX_REPLICAS: replicas })
  say.step(`${replicas} instances of ${site.service}`)
  await deploy(site, ['--probation', '0', '--to', releases[1]])
  return underLoad(site, { rate, rates: { websocket: 0 } }, async ({ doing, quiet }) => {
    const done: Deploy[] = []
    for (let index = 0; index < times; index += 1) {
      await quiet(3)
      const what = `${replicas} instances, rollout ${index + 1} of ${times}`
      done.push(
        await deploy(site, ['--probation', '0', '--to', releases[index % 2] ?? ''], phase =>
          doing(`${what}: ${phase}`),
        ),
      )
      say.done(`${what}: ${phasesText(done.slice(-1))}`)
    }
    await quiet(5)
    return done
  })
}

export async function growth(site: Site, settings: Settings): Promise<Outcome> {
  const releases = await buildTwo(site)
  const figures = figuresOf('growth')
  const shown: Figure[] = []
  const details: Record<string, unknown> = {}
  let alone = 0
  for (const replicas of REPLICAS) {
    const { result, report } = await withReplicas(site, releases, replicas, settings)
    const spent = medianOf(result, it => each(it, replicas))
    alone ||= spent
    const name = `  time of each, start to stop (the command: ${medianOf(result, ({ wall }) => wall).toFixed(1)} s)`
    shown.push(figures.noneFailed(`instances: ${replicas}, rollouts: ${result.length}`, report))
    const limit = Number((alone * TOLERANCE).toFixed(2))
    shown.push(replicas === 1 ? figures.plain(name, `${spent.toFixed(2)} s`) : figures.most(name, spent, limit, 's'))
    details[replicas] = { rollouts: result, failures: report.failures, lateness: report.lateness }
  }
  site.set({ PHOENIX_REPLICAS: 1 })
  await deploy(site, ['--probation', '0', '--to', releases[1]])
  return { figures: shown, details }
}
