// For scale, on the same site under the same load: the procedure of the old scripts, a plain recreate, and a rollout.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { say } from '../../lib/system/progress.ts'
import { oldProcedure, recreate, type TimedPhase, useServiceName } from '../load/old_procedure.ts'
import { type Report } from '../load/load.ts'
import { buildTwo, deploy } from './deploy.ts'
import { figuresOf, type Outcome } from './figures.ts'
import type { Settings } from './parts.ts'
import { drawComparison } from './picture.ts'
import type { Site } from './site.ts'
import { underLoad } from './under_load.ts'
import { cutsIn, lostIn, reloadsOf } from './websocket.ts'

const BEFORE = 5

// The old procedure's requests go on failing after it has ended.
const AFTER = 12

export interface Run {
  report: Report
  /** on the load's clock */
  phases: TimedPhase[]
}

const measure = async (site: Site, rate: number, what: string, work: () => Promise<TimedPhase[]>): Promise<Run> => {
  say.step(what)
  const { result, report } = await underLoad(site, { rate }, async ({ now, doing, quiet }) => {
    doing('before')
    await quiet(BEFORE)
    const at = now()
    doing(what)
    const phases = await work()
    doing('after')
    await quiet(AFTER)
    return phases.map(({ label, from, to }) => ({ label, from: from + at, to: to + at }))
  })
  say.done(`${what}: ${report.failed} of ${report.sent} failed`)
  return { report, phases: result }
}

export async function old(site: Site, { rate, picture }: Settings): Promise<Outcome> {
  const figures = figuresOf('old')
  const [first] = await buildTwo(site)
  const target = { folder: site.folder, project: site.project, service: site.service }
  const ours = await measure(site, rate, 'a rollout', async () => (await deploy(site, ['--to', first])).phases)
  const putBack = await useServiceName(target)
  const former = await measure(site, rate, 'the old procedure', () => oldProcedure(target))
  const plain = await measure(site, rate, 'a plain recreate', () => recreate(target))
  await putBack()
  if (picture !== undefined) {
    mkdirSync(dirname(picture), { recursive: true })
    writeFileSync(picture, drawComparison(former, ours, rate))
  }
  const lost = lostIn(ours.report, cutsIn(ours.report, reloadsOf(ours.phases)))
  const runs = { rollout: ours, old: former, recreate: plain }
  return {
    figures: [
      figures.noneFailed('a rollout, of a release that was built before', lost),
      figures.failed('the old procedure: scale to 2, wait, reload, stop', former.report),
      figures.failed('docker compose up --force-recreate', plain.report),
    ],
    details: Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, shortOf(run)])),
  }
}

const shortOf = ({ phases, report: { sent, failed, failures, kinds } }: Run) => ({
  phases,
  sent,
  failed,
  failures,
  kinds,
})
