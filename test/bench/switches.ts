// The switch alone, over and over: nginx's file is written again and taken up, by the rollout's own code. No request
// may fail.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { findNginx } from '../../lib/nginx/container.ts'
import { Failure } from '../../lib/system/errors.ts'
import { deploy } from './deploy.ts'
import { figuresOf, median, type Outcome, websocketFigures } from './figures.ts'
import type { Settings } from './parts.ts'
import { DRAIN_SECONDS, type Site } from './site.ts'
import { type Running, underLoad } from './under_load.ts'
import { cutsIn, lostIn, type Reload } from './websocket.ts'

const PAUSE = 1

type Live = typeof import('../../lib/nginx/live.ts')

// That of the site's own copy: it writes into the checkout that it lies in.
const liveOf = async ({ folder }: Site): Promise<Live> =>
  import(pathToFileURL(join(folder, 'lib', 'nginx', 'live.ts')).href)

const nginxOf = async ({ project }: Site) => {
  const nginx = await findNginx(project)
  if (!nginx) throw new Failure('nginx does not run')
  return nginx
}

/** Switches so often, and tells when each began and ended. */
export async function switchTimes(site: Site, times: number, { now, doing, quiet }: Running) {
  const { readLiveFile, switchLive } = await liveOf(site)
  const nginx = await nginxOf(site)
  const done: Reload[] = []
  for (let index = 1; index <= times; index += 1) {
    doing(`switch ${index} of ${times}`)
    const from = now()
    await switchLive(nginx, site.service, { upstreams: readLiveFile(site.service) })
    done.push({ from, to: now() })
    await quiet(PAUSE)
  }
  return done
}

export async function switches(site: Site, { switches: times, rate }: Settings): Promise<Outcome> {
  const figures = figuresOf('switches')
  // Until a first rollout there is no file to write again.
  const { readLiveFile } = await liveOf(site)
  if (readLiveFile(site.service).length === 0) await deploy(site, ['--probation', '0'])
  const { result, report } = await underLoad(site, { rate }, async running => {
    await running.quiet(3)
    const done = await switchTimes(site, times, running)
    await running.quiet(DRAIN_SECONDS)
    return done
  })
  const cuts = cutsIn(report, result)
  const spent = result.map(({ from, to }) => (to - from) * 1000)
  return {
    figures: [
      figures.noneFailed(`${times} bare switches, ${rate} requests a second`, lostIn(report, cuts)),
      ...websocketFigures('switches', cuts),
      figures.plain(
        'time of a switch (median; longest)',
        `${median(spent).toFixed(0)} ms; ${Math.max(...spent).toFixed(0)} ms`,
      ),
    ],
    details: {
      switches: result,
      websocket: cuts,
      failures: report.failures,
      kinds: report.kinds,
      lateness: report.lateness,
    },
  }
}
