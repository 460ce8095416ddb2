// One deploy as a person starts it, with what it cost.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { Failure } from '../../lib/system/errors.ts'
import { say } from '../../lib/system/progress.ts'
import type { TimedPhase } from '../load/old_procedure.ts'
import type { Site } from './site.ts'

export interface Deploy {
  /** when it was started: ms since 1970 */
  started: number
  /** seconds, from the start of the command to its end */
  wall: number
  phases: TimedPhase[]
  /** the most memory that the script's own process held, in MB */
  peak: number
  revision: string
}

/** The file of the command `tsx`. */
export const TSX = createRequire(import.meta.url).resolve('tsx/cli')

const PEAK = join(import.meta.dirname, 'peak.mjs')
const PHASES = /^→ (plan|build|migrate|start|healthy|switch|observe|drain|stop|tidy)(:|$)/

// `begin` is what comes before the first phase: the start of Node, the settings, the lock.
const phasesOf = (marks: { label: string; at: number }[], end: number): TimedPhase[] =>
  [{ label: 'begin', at: 0 }, ...marks].map(({ label, at }, index) => ({
    label,
    from: at,
    to: marks[index]?.at ?? end,
  }))

/** Runs deploy_local.ts avril. Throws a Failure with its last lines when it does not end with 0. */
export async function deploy(site: Site, words: string[] = [], onPhase = (_label: string) => {}): Promise<Deploy> {
  const started = Date.now()
  const clock = performance.now()
  const elapsed = () => (performance.now() - clock) / 1000
  const peak = join(site.folder, '.state', 'peak')
  const script = join(site.folder, 'scripts', 'deploy_local.ts')
  const observe = words.includes('--observe') ? [] : ['--observe', '0']
  const command = [TSX, '--import', pathToFileURL(PEAK).href, script, '--json', ...observe, ...words, 'avril']
  const child = spawn(process.execPath, command, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PEAK_FILE: peak },
  })
  const marks: { label: string; at: number }[] = []
  const lines: string[] = []
  createInterface({ input: child.stderr }).on('line', line => {
    lines.push(line)
    const label = PHASES.exec(line)?.[1]
    if (label === undefined) return
    marks.push({ label, at: elapsed() })
    onPhase(label)
  })
  const [stdout] = await Promise.all([child.stdout.setEncoding('utf8').toArray(), once(child, 'close')])
  const wall = elapsed()
  if (child.exitCode !== 0) {
    const end = `the deploy ended with ${child.exitCode ?? child.signalCode}`
    throw new Failure([end, ...lines.slice(-20)].join('\n  '))
  }
  const { revision }: { revision: string } = JSON.parse(stdout.join(''))
  return { started, wall, phases: phasesOf(marks, wall), peak: Number(readFileSync(peak, 'utf8')) / 1024, revision }
}

/** The seconds of one phase, all times that it came. */
export function spentIn({ phases }: Pick<Deploy, 'phases'>, ...labels: string[]) {
  return phases.filter(({ label }) => labels.includes(label)).reduce((sum, { from, to }) => sum + to - from, 0)
}

const built = new WeakMap<Site, readonly [string, string]>()

/** Two releases that are built: to go back and forth between. They are built once for a site. */
export async function buildTwo(site: Site) {
  const commits: string[] = []
  for (const which of built.has(site) ? [] : ['first', 'second']) {
    say.step(`building the ${which} of two releases`)
    commits.push((await deploy(site, ['--probation', '0', '--to', await site.commit()])).revision)
  }
  const both = built.get(site) ?? [commits[0] ?? '', commits[1] ?? '']
  built.set(site, both)
  return both
}
