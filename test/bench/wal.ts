// What the archive costs: transactions a second with and without the service wal, in turn; what a day of it takes; the
// seconds and sizes of base backups of 1.5 GB; memory.
import { docker } from '../../lib/docker/commands.ts'
import { listIds } from '../../lib/docker/containers.ts'
import { ACCOUNT } from '../../lib/postgres/server.ts'
import { size } from '../../lib/system/format.ts'
import { say } from '../../lib/system/progress.ts'
import { capture } from '../../lib/system/run.ts'
import { sleep } from '../../lib/system/signals.ts'
import { ask, FILL, inPostgres, startArchive } from './data.ts'
import { figuresOf, median, type Outcome } from './figures.ts'
import { type Ran, run } from './script.ts'
import type { Site } from './site.ts'

const ROUNDS = 3
/** seconds of one round */
const LONG = 20
const DAY = 86_400
/** Transactions that write, on a busy day of such a site. */
export const BUSY = 100_000

const containerOf = async ({ project }: Site, service: string) => (await listIds(project, service))[0] ?? ''

/** Microseconds of the processor that a container has taken, by its cgroup. */
const cpuOf = async (id: string) => {
  const script =
    'cat /sys/fs/cgroup/cpu.stat 2>/dev/null || echo usage_usec $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000))'
  return Number(/usage_usec (\d+)/.exec(await capture(docker('exec', id, 'sh', '-c', script)))?.[1] ?? 0)
}

const RECEIVED =
  'select coalesce((select flush_lsn >= pg_current_wal_flush_lsn() - 65536 from pg_stat_replication limit 1), false)'

/** Transactions a second, far more than the site has at its busiest. */
const USUAL = 100

interface Round {
  /** a second */
  transactions: number
  /** milliseconds of one, on average */
  latency: number
  /** microseconds of postgres's and wal's processor, each transaction */
  cpu: number
  wal: number
}

const round = async (site: Site, withWal: boolean, rate?: number): Promise<Round> => {
  const wal = await containerOf(site, 'wal')
  await capture(docker(withWal ? 'start' : 'stop', wal))
  await ask(site, 'checkpoint')
  // What was written without it is received before.
  if (withWal) while ((await ask(site, RECEIVED)) !== 't') await sleep(500)
  const ids = [await containerOf(site, 'postgres'), ...(withWal ? [wal] : [])]
  const cpu = async () => (await Promise.all(ids.map(cpuOf))).reduce((sum, it) => sum + it, 0)
  const place = "select pg_current_wal_lsn() - '0/0'"
  const [cpuBefore, walBefore] = [await cpu(), Number(await ask(site, place))]
  const pace = rate === undefined ? [] : ['-R', String(rate)]
  const words = ['-U', 'avril', '-n', '-c', '4', '-j', '1', '-T', String(LONG), ...pace, 'bench']
  const said = await capture(await inPostgres(site, 'pgbench', ...words))
  const done = Number(/transactions actually processed: (\d+)/.exec(said)?.[1] ?? 0)
  return {
    transactions: done / LONG,
    latency: Number(/latency average = ([\d.]+) ms/.exec(said)?.[1]),
    cpu: ((await cpu()) - cpuBefore) / done,
    wal: (Number(await ask(site, place)) - walBefore) / done,
  }
}

const rounds = async (site: Site) => {
  await ask(site, 'create database bench')
  await capture(await inPostgres(site, 'pgbench', '-U', 'avril', '-i', '-q', '-s', '10', 'bench'))
  const all: Record<'with' | 'without', Round[]> = { with: [], without: [] }
  for (let index = 1; index <= ROUNDS; index += 1) {
    say.step(`round ${index} of ${ROUNDS}, without and with the service wal`)
    all.without.push(await round(site, false))
    all.with.push(await round(site, true))
  }
  say.step(`at ${USUAL} transactions a second, without and with it`)
  return { ...all, usual: { without: await round(site, false, USUAL), with: await round(site, true, USUAL) } }
}

interface Shipped {
  pieces: number
  bytes: number
}

/** Bytes that are shipped for a transaction, and in a minute in which nobody writes. */
const shipping = async (site: Site) => {
  await run<Shipped>(site, 'backup', '--ship')
  const said = await capture(
    await inPostgres(site, 'pgbench', '-U', 'avril', '-n', '-c', '4', '-T', String(LONG), 'bench'),
  )
  const done = Number(/transactions actually processed: (\d+)/.exec(said)?.[1] ?? 0)
  const busy = await run<Shipped>(site, 'backup', '--ship')
  const idle: Ran<Shipped>[] = []
  for (let index = 0; index < 3; index += 1) idle.push(await run<Shipped>(site, 'backup', '--ship'))
  return { each: busy.result.bytes / done, busy, idle }
}

interface Based {
  base: { kind: string; bytes: number }
}

const timedBase = async (site: Site) => {
  const since = performance.now()
  const { result, peak } = await run<Based>(site, 'backup', '--no-files')
  return { ...result.base, wall: (performance.now() - since) / 1000, peak }
}

/** MB of its processes: what the kernel keeps of files for them goes as soon as somebody needs the place. */
const memoryOf = async (site: Site) => {
  const script = 'cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat'
  const said = await capture(docker('exec', await containerOf(site, 'wal'), 'sh', '-c', script))
  return Number(/^(?:anon|rss) (\d+)$/m.exec(said)?.[1]) / 1e6
}

/** Seconds of pg_basebackup and its verification alone. */
const alone = async (site: Site, ...words: string[]) => {
  const name = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const since = performance.now()
  await capture(
    docker(
      'exec',
      '--user',
      ACCOUNT,
      await containerOf(site, 'wal'),
      'bash',
      '/etc/avril/base.sh',
      'make',
      name,
      ...words,
    ),
  )
  return (performance.now() - since) / 1000
}

export async function wal(site: Site): Promise<Outcome> {
  const figures = figuresOf('wal')
  await startArchive(site)
  say.step('filling the database')
  await ask(site, FILL)
  const bytes = Number(await ask(site, `select pg_database_size('avril')`))
  const full = await timedBase(site)
  const seconds = { full: await alone(site), incremental: 0 }
  const speed = await rounds(site)
  await capture(docker('start', await containerOf(site, 'wal')))
  const shipped = await shipping(site)
  const [newest = ''] = (
    await capture(docker('exec', '--user', ACCOUNT, await containerOf(site, 'wal'), 'ls', '/wal/base'))
  )
    .split('\n')
    .filter(name => /^\d{8}T\d{6}Z$/.test(name))
    .toReversed()
  seconds.incremental = await alone(site, newest)
  const incremental = await timedBase(site)
  const of = (kind: 'with' | 'without', what: keyof Round) => median(speed[kind].map(it => it[what]))
  const perSecond = 1 - of('with', 'transactions') / of('without', 'transactions')
  const idle = median(shipped.idle.map(({ result }) => result.bytes))
  const memory = Math.max(shipped.busy.peak, full.peak, incremental.peak)
  return {
    figures: [
      figures.plain('the database', size(bytes)),
      figures.plain('transactions a second without (median)', of('without', 'transactions').toFixed(0)),
      figures.plain('  with the service wal', of('with', 'transactions').toFixed(0)),
      figures.most('  fewer', Math.max(0, perSecond * 100), 5, '%', 1),
      figures.plain(
        'processor a transaction, without and with',
        `${of('without', 'cpu').toFixed(0)} µs, ${of('with', 'cpu').toFixed(0)} µs`,
      ),
      figures.plain(
        `at ${USUAL} a second: one takes, without and with`,
        `${speed.usual.without.latency.toFixed(1)} ms, ${speed.usual.with.latency.toFixed(1)} ms`,
      ),
      figures.plain('WAL a transaction, and shipped', `${size(of('with', 'wal'))}, ${size(shipped.each)}`),
      figures.plain(`a day of ${BUSY.toLocaleString('en-US')} of them, shipped`, size(shipped.each * BUSY)),
      figures.plain('a day without one', size((idle * DAY) / 60)),
      figures.plain('a full base: made and verified; its size', `${seconds.full.toFixed(1)} s; ${size(full.bytes)}`),
      figures.plain('an incremental one', `${seconds.incremental.toFixed(1)} s; ${size(incremental.bytes)}`),
      figures.plain(
        'guessed for 50 GB, by the size: full, and its size',
        `${((seconds.full * 50e9) / bytes / 60).toFixed(0)} min; ${size((full.bytes * 50e9) / bytes)}`,
      ),
      figures.plain(
        'a pass of backup.ts --ship, Node included',
        `${median(shipped.idle.map(({ wall }) => wall)).toFixed(1)} s`,
      ),
      figures.most('memory of the service wal', await memoryOf(site), 150, 'MB', 0),
      figures.most('memory of the scripts', memory, 150, 'MB', 0),
    ],
    details: { speed, shipped, full, incremental, seconds },
  }
}
