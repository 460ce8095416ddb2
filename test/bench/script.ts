// One run of a script as a person starts it, with its time and its memory.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Failure } from '../../lib/system/errors.ts'
import { TSX } from './deploy.ts'
import type { Site } from './site.ts'

const PEAK = pathToFileURL(join(import.meta.dirname, 'peak.mjs')).href

export interface Ran<Result> {
  /** seconds, from the start of the command to its end */
  wall: number
  /** the most memory that the script's own process held, in MB */
  peak: number
  /** what it printed with --json */
  result: Result
}

/** Runs a script of the site with --json. Throws a Failure with its last lines when it does not end with 0. */
export async function run<Result>({ folder }: Site, name: string, ...words: string[]): Promise<Ran<Result>> {
  const peak = join(folder, '.state', 'peak')
  const since = performance.now()
  const child = spawn(
    process.execPath,
    [TSX, '--import', PEAK, join(folder, 'scripts', `${name}.ts`), '--json', ...words],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PEAK_FILE: peak },
    },
  )
  const [stdout, stderr] = await Promise.all([
    child.stdout.setEncoding('utf8').toArray(),
    child.stderr.setEncoding('utf8').toArray(),
    once(child, 'close'),
  ])
  const wall = (performance.now() - since) / 1000
  if (child.exitCode !== 0)
    throw new Failure(
      `${name}.ts ended with ` +
        `${child.exitCode ?? child.signalCode}\n${stderr.join('').split('\n').slice(-20).join('\n  ')}`,
    )
  return { wall, peak: Number(readFileSync(peak, 'utf8')) / 1024, result: JSON.parse(stdout.join('')) }
}
