// Rollouts and bare switches under all that visitors do, over TLS, by HTTP/1.1 and by HTTP/2: uploads and downloads of
// 20 seconds and a websocket too. No request may fail.
import { say } from '../../lib/system/progress.ts'
import type { LoadOptions } from '../load/load.ts'
import { buildTwo, deploy } from './deploy.ts'
import { figuresOf, type Outcome } from './figures.ts'
import type { Settings } from './parts.ts'
import { phasesText } from './rollouts.ts'
import { DRAIN_SECONDS, type Site } from './site.ts'
import { switchTimes } from './switches.ts'
import { HOST, makeTls, TLS_PORT } from './tls.ts'
import { underLoad } from './under_load.ts'
import { cutsIn, lostIn, reloadsOf } from './websocket.ts'

/** s; below DRAIN_SECONDS they are promised to end */
const LONG = 20

export async function mixed(site: Site, { rollouts: times, switches, rate }: Settings): Promise<Outcome> {
  const figures = figuresOf('mixed')
  await makeTls(site, { DRAIN_SECONDS: LONG + DRAIN_SECONDS })
  const releases = await buildTwo(site)
  const outcomes = []
  for (const protocol of ['h1', 'h2'] as const) {
    say.step(`${times} rollouts and ${switches} switches, ${protocol}`)
    const load: Omit<LoadOptions, 'url'> = {
      rate,
      rates: { upload: 0.5, download: 0.5 },
      protocol,
      host: HOST,
      long: LONG,
      idle: [1000, 30_000],
    }
    const tls = { ...site, url: `https://127.0.0.1:${TLS_PORT}` }
    const { result, report } = await underLoad(tls, load, async ({ now, doing, quiet }) => {
      const done = []
      for (let index = 1; index <= times; index += 1) {
        const what = `${protocol}: rollout ${index} of ${times}`
        await quiet(2)
        const at = now()
        const words = ['--probation', '0', '--to', releases[index % 2] ?? '']
        done.push({ at, ...(await deploy(site, words, phase => doing(`${what}: ${phase}`))) })
        say.done(`${what}: ${phasesText(done.slice(-1))}`)
      }
      const bare = await switchTimes(site, switches, { now, doing, quiet })
      await quiet(LONG)
      return { done, bare }
    })
    const moments = result.done.flatMap(({ at, phases }) =>
      reloadsOf(phases).map(({ from, to }) => ({ from: at + from, to: at + to })),
    )
    const cuts = cutsIn(report, moments, LONG + DRAIN_SECONDS)
    outcomes.push({ protocol, result, report, cuts, lost: lostIn(report, cuts) })
  }
  return {
    figures: outcomes.flatMap(({ protocol, result, report, cuts, lost }) => [
      figures.noneFailed(`${protocol}: ${times} rollouts and ${switches} switches, ${rate} requests a second`, lost),
      figures.plain('  uploads and downloads of 20 s', `${report.kinds.upload.sent}; ${report.kinds.download.sent}`),
      figures.plain('  websockets closed; before their time', `${cuts.closed}; ${cuts.early}`),
      figures.plain('  seconds a phase (median)', phasesText(result.done)),
    ]),
    details: outcomes.map(({ protocol, report, result }) => ({
      protocol,
      failures: report.failures,
      kinds: report.kinds,
      rollouts: result.done,
    })),
  }
}
