// Rollouts over three machines that are a Swarm, with more and more instances: what is lost, how long each phase takes,
// and how many calls of the engine it needs. The machines are namespaces of this one, which also makes the load.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { Failure } from '../../lib/system/errors.ts'
import { attempt, capture } from '../../lib/system/run.ts'
import { say } from '../../lib/system/progress.ts'
import { shielded } from '../../lib/system/signals.ts'
import { spentIn } from './deploy.ts'
import { type Figure, figuresOf, medianOf, type Outcome } from './figures.ts'
import type { TimedPhase } from '../load/old_procedure.ts'
import type { Settings } from './parts.ts'
import { phasesText } from './rollouts.ts'

const REPLICAS = [2, 4, 8]
/** whose nginx is asked */
const ASKED = [1, 2]

const tests = join(import.meta.dirname, '..')
const CLUSTER = '/tmp/avril-cluster'
const CALLS = join(CLUSTER, 'home', 'calls')

interface Measured {
  wall: number
  phases: TimedPhase[]
  /** what docker was asked, a line each */
  calls: string[]
}

const onFirst = (site: string, script: string, ...words: string[]) => [
  join(tests, 'cluster.sh'),
  'on',
  CLUSTER,
  '1',
  'sh',
  '-c',
  'cd "$0" && exec "$@"',
  site,
  'env',
  `PATH=${CLUSTER}/home/shim:${process.env.PATH}`,
  `DOCKER_CALLS=${CALLS}`,
  'node',
  `scripts/${script}.js`,
  ...words,
]

const deploy = async (site: string): Promise<Measured> => {
  rmSync(CALLS, { force: true })
  const began = performance.now()
  const [program = '', ...words] = onFirst(site, 'deploy_local', '--observe', '0', '--probation', '0', 'avril')
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  const marks = [{ label: 'begin', at: 0 }]
  const lines: string[] = []
  createInterface({ input: child.stderr }).on('line', line => {
    lines.push(line)
    const label = /^→ (plan|build|migrate|start|healthy|switch|drain|stop|tidy)(:|$)/.exec(line)?.[1]
    if (label !== undefined) marks.push({ label, at: (performance.now() - began) / 1000 })
  })
  await once(child, 'close')
  const wall = (performance.now() - began) / 1000
  if (child.exitCode !== 0) throw new Failure(['the deploy failed', ...lines.slice(-20)].join('\n  '))
  const phases = marks.map(({ label, at }, index) => ({ label, from: at, to: marks[index + 1]?.at ?? wall }))
  return { wall, phases, calls: readFileSync(CALLS, 'utf8').split('\n').filter(Boolean) }
}

interface Load {
  child: ChildProcessByStdio<Writable, Readable, null>
  report: string
}

const startLoad = async (site: string, node: number, rate: number): Promise<Load> => {
  const report = join(CLUSTER, `load${node}.json`)
  const of = ['--url', `http://10.77.0.1${node}`, '--rate', String(rate), '--slow', '1', '--websocket', '0']
  const how = ['--until-stdin-closes', '--drain', '10', '--json', report]
  const command = ['--net=/run/netns/avril-switch', 'node', join(site, 'test', 'load', 'load.js'), ...of, ...how]
  const child = spawn('nsenter', command, { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdout.resume()
  await once(child, 'spawn')
  return { child, report }
}

const stopLoad = async ({ child, report }: Load) => {
  child.stdin.end()
  await once(child, 'close')
  const { failed, sent }: { failed: number; sent: number } = JSON.parse(readFileSync(report, 'utf8'))
  return { failed, sent }
}

const withReplicas = async (site: string, replicas: number, { rollouts, rate }: Settings) => {
  say.step(`${replicas} instances on three nodes`)
  await capture(['sed', '-i', `s/^PHOENIX_REPLICAS=.*/PHOENIX_REPLICAS=${replicas}/`, join(site, '.env')])
  await deploy(site)
  const loads = await Promise.all(ASKED.map(node => startLoad(site, node, Math.ceil(rate / 5))))
  const done: Measured[] = []
  for (let index = 0; index < Math.max(1, Math.ceil(rollouts / 7)); index += 1) {
    const made = await deploy(site)
    done.push(made)
    say.done(`${made.wall.toFixed(1)} s, ${made.calls.length} calls: ${phasesText([made])}`)
  }
  const ends = await Promise.all(loads.map(stopLoad))
  const sum = (name: 'failed' | 'sent') => ends.reduce((all, it) => all + it[name], 0)
  return { done, failed: sum('failed'), sent: sum('sent') }
}

/** The same words to whomever, so that they can be counted. */
const kindOf = (call: string) =>
  call
    .replace(/^--host \S+ /, 'other: ')
    .split(' ')
    .slice(0, call.startsWith('--host') ? 3 : 2)
    .join(' ')

const countsOf = (calls: string[]) => {
  const counts: Record<string, number> = {}
  for (const call of calls) counts[kindOf(call)] = (counts[kindOf(call)] ?? 0) + 1
  return counts
}

const measure = async (site: string, settings: Settings): Promise<Outcome> => {
  const figures = figuresOf('cluster')
  const shown: Figure[] = []
  const details: Record<string, unknown> = {}
  for (const replicas of REPLICAS) {
    const { done, ...requests } = await withReplicas(site, replicas, settings)
    shown.push(
      figures.noneFailed(`${replicas} instances on three nodes, ${done.length} rollouts`, requests),
      figures.plain('  time of a rollout (median)', `${medianOf(done, ({ wall }) => wall).toFixed(1)} s`),
      figures.plain('  from start to healthy', `${medianOf(done, it => spentIn(it, 'start', 'healthy')).toFixed(1)} s`),
      figures.plain('  from the switch on', `${medianOf(done, it => spentIn(it, 'switch', 'drain')).toFixed(1)} s`),
      figures.plain('  calls of docker', medianOf(done, ({ calls }) => calls.length).toFixed(0)),
      figures.plain('  seconds a phase (median)', phasesText(done)),
    )
    details[replicas] = done.map(({ wall, phases, calls }) => ({ wall, phases, calls: countsOf(calls) }))
  }
  return { figures: shown, details }
}

/** Brings the cluster up, measures, and takes it down, whatever happened. */
export async function cluster(settings: Settings): Promise<Outcome> {
  const script = join(tests, 'bench', 'cluster.sh')
  say.step('three machines')
  try {
    const site = await capture([script, 'up'], { what: 'bringing the cluster up' })
    return await measure(site.trim(), settings)
  } finally {
    await shielded(() => attempt([script, 'down']))
  }
}
