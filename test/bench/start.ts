// What the scripts cost by themselves: the time until --help, and the memory of a whole deploy, its build included.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../lib/system/errors.ts'
import { say } from '../../lib/system/progress.ts'
import { deploy, TSX } from './deploy.ts'
import { figuresOf, median, type Outcome } from './figures.ts'
import type { Site } from './site.ts'

const TIMES = 10

const spent = (words: string[]) => {
  const start = performance.now()
  const { status, stderr } = spawnSync(process.execPath, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  if (status !== 0) throw new Failure(`${words.join(' ')} ended with ${status}: ${stderr}`)
  return (performance.now() - start) / 1000
}

// In turn, so that a busy moment of the machine meets all of them; the first of each fills caches.
const inTurn = (commands: Record<string, string[]>) => {
  const times = Object.fromEntries(Object.keys(commands).map(name => [name, [] as number[]]))
  for (let index = 0; index <= TIMES; index += 1) {
    for (const [name, words] of Object.entries(commands)) {
      const time = spent(words)
      if (index > 0) times[name]?.push(time)
    }
  }
  return times
}

export async function start(site: Site): Promise<Outcome> {
  const figures = figuresOf('start')
  say.step(`${TIMES} times --help`)
  const empty = join(site.folder, 'empty.ts')
  writeFileSync(empty, '')
  const script = join(site.folder, 'scripts', 'deploy_local.ts')
  const times = inTurn({ node: ['-e', '0'], tsx: [TSX, empty], help: [TSX, script, '--help'] })
  say.step('a deploy, for its memory')
  const { peak } = await deploy(site, ['--probation', '0', '--to', await site.commit()])
  const of = (name: string) => median(times[name] ?? [])
  return {
    figures: [
      figures.most('tsx scripts/deploy_local.ts --help (median)', of('help'), 0.35, 's'),
      figures.plain(
        '  for scale: node -e 0; tsx with an empty script',
        `${of('node').toFixed(2)} s; ${of('tsx').toFixed(2)} s`,
      ),
      figures.most('peak memory of deploy_local.ts (its own process)', peak, 150, 'MB', 0),
    ],
    details: { seconds: times, peak },
  }
}
