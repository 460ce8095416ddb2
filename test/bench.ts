import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from '../lib/system/checkout.ts'
import { usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { capture } from '../lib/system/run.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'
import { holds, type Outcome, tableOf } from './bench/figures.ts'
import { cluster } from './bench/cluster.ts'
import { data, tables } from './bench/data.ts'
import { growth } from './bench/growth.ts'
import { moments } from './bench/moments.ts'
import { mixed } from './bench/mixed.ts'
import { observed } from './bench/observed.ts'
import { old } from './bench/old.ts'
import { overhead } from './bench/overhead.ts'
import { page } from './bench/page.ts'
import type { Part, Settings } from './bench/parts.ts'
import { proxy } from './bench/proxy.ts'
import { rollouts } from './bench/rollouts.ts'
import { type Site, withSite } from './bench/site.ts'
import { start } from './bench/start.ts'
import { switches } from './bench/switches.ts'
import { wal } from './bench/wal.ts'
import { whole } from './bench/whole.ts'

const PARTS: Record<string, Part> = {
  rollouts,
  mixed,
  observed,
  switches,
  old,
  overhead,
  growth,
  proxy,
  page,
  start,
  data,
  tables,
  wal,
  moments,
  whole,
}
/** It makes its own machines, as root. */
const CLUSTER = 'cluster'
const NAMES = [...Object.keys(PARTS), CLUSTER]

const NUMBER = [/^[1-9]\d{0,3}$/, 'a number from 1 to 9999'] as const

const command = {
  usage: 'bench.ts [options]',
  summary: 'Measures rollouts on a stack of its own: requests lost, time, memory. Ends with 1 when one was lost.',
  words: [0, 0] as [number, number],
  options: {
    only: {
      value: 'part,…',
      help: `measure only this: ${NAMES.join(', ')}`,
      form: [/^[a-z]+(,[a-z]+)*$/, 'a list of parts'] as const,
    },
    rollouts: {
      value: 'number',
      help: 'how many in a row (default 20); a half in overhead, a tenth in growth',
      form: NUMBER,
    },
    switches: { value: 'number', help: 'how many in a row (default 50)', form: NUMBER },
    rate: { value: 'number', help: 'requests a second (default 250)', form: NUMBER },
    picture: { help: 'write docs/rollout.svg too' },
    json: { help: 'print everything as one JSON document on stdout' },
  },
  examples: [
    ['npm run bench', 'everything'],
    ['npm run bench -- --only rollouts --rollouts 3', 'a short look'],
    ['npm run bench -- --only old --picture', 'draw the picture of the README'],
  ] as [string, string][],
}

const machineOf = async () => ({
  date: new Date().toISOString(),
  cores: availableParallelism(),
  processor: cpus()[0]?.model.trim() ?? '',
  memory: `${(totalmem() / 2 ** 30).toFixed(1)} GB`,
  engine: await capture(['docker', 'version', '--format', '{{.Server.Version}}']),
  compose: await capture(['docker', 'compose', 'version', '--short']),
  node: process.versions.node,
})

const machineText = ({ cores, processor, engine, compose, node }: Awaited<ReturnType<typeof machineOf>>) =>
  `${cores} cores (${processor}), Docker ${engine}, Compose ${compose}, Node ${node}`

await main(command, async options => {
  const wanted = options.only?.split(',') ?? Object.keys(PARTS)
  const unknown = wanted.find(name => !NAMES.includes(name))
  if (unknown) throw usage(`there is no part ${unknown}`, `one of: ${NAMES.join(', ')}`)
  // In their own order: a part may use releases that another has built.
  const names = Object.keys(PARTS).filter(name => wanted.includes(name))
  if (options.picture && !names.includes('old')) throw usage('--picture is drawn by the part old')
  const settings: Settings = {
    rollouts: Number(options.rollouts ?? 20),
    switches: Number(options.switches ?? 50),
    rate: Number(options.rate ?? 250),
    picture: options.picture ? join(root, 'docs', 'rollout.svg') : undefined,
  }

  const onSite = async (site: Site) => {
    const done: Record<string, Outcome> = {}
    for (const name of names) {
      say.step(`== ${name}`)
      const outcome = await PARTS[name]?.(site, settings)
      if (!outcome) continue
      done[name] = outcome
      say.line(tableOf(outcome.figures))
    }
    return done
  }
  const outcomes: Record<string, Outcome> = names.length > 0 ? await withSite(onSite) : {}
  if (wanted.includes(CLUSTER)) outcomes[CLUSTER] = await cluster(settings)

  const figures = Object.values(outcomes).flatMap(outcome => outcome.figures)
  const machine = await machineOf()
  const details = Object.fromEntries(Object.entries(outcomes).map(([name, outcome]) => [name, outcome.details]))
  if (options.json) print(JSON.stringify({ machine, settings, figures, details }))
  else print(`\n${machineText(machine)}\n\n${tableOf(figures)}`)
  return holds(figures) ? 0 : 1
})
