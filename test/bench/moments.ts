// How long it takes until psql answers of a moment of a database of 1.5 GB: one hour, one day and six days after its
// full base, on a site where much is written, with an incremental base each night.
import { Failure } from '../../lib/system/errors.ts'
import { size } from '../../lib/system/format.ts'
import { say } from '../../lib/system/progress.ts'
import { capture } from '../../lib/system/run.ts'
import { ask, FILL, inPostgres, QUIET, startArchive } from './data.ts'
import { TSX } from './deploy.ts'
import { figuresOf, type Outcome } from './figures.ts'
import type { Site } from './site.ts'
import { BUSY } from './wal.ts'

const CLIENTS = 4
/** In transactions. */
const [HOUR, DAY] = [BUSY / 24, BUSY]

const tsx = ({ folder }: Site, ...words: string[]) =>
  capture([process.execPath, TSX, ...words], { cwd: folder, input: '' })

const makeBase = (site: Site, kind: 'full' | 'incremental') => tsx(site, 'test/helpers/make_base.ts', kind)

const write = async (site: Site, transactions: number) => {
  const each = Math.ceil(transactions / CLIENTS)
  await capture(await inPostgres(site, 'pgbench', '-U', 'avril', '-n', '-c', `${CLIENTS}`, '-t', `${each}`, 'avril'))
}

const COUNT = 'select count(*) from pgbench_history'

/** Seconds until psql has told how many rows there were now; what is written afterwards is not seen. */
const lookBack = async (site: Site) => {
  const [rows, now, end] = (await ask(site, `${COUNT}; select now(); select pg_current_wal_lsn() - '0/0'`)).split('\n')
  // The moment is ended by a commit that it does not contain.
  await write(site, CLIENTS)
  const since = performance.now()
  const seen = await tsx(site, 'scripts/psql.ts', '--at', new Date(now ?? '').toISOString(), '-XAt', '-c', COUNT)
  const seconds = (performance.now() - since) / 1000
  if (seen !== rows) throw new Failure(`${rows} rows were there at ${now}, and ${seen} in what was recovered`)
  return { seconds, end: Number(end) }
}

export async function moments(site: Site): Promise<Outcome> {
  const figures = figuresOf('moments')
  await startArchive(site)
  say.step('filling the database')
  await ask(site, FILL + QUIET)
  await capture(await inPostgres(site, 'pgbench', '-U', 'avril', '-i', '-q', '-s', '10', 'avril'))
  const bytes = Number(await ask(site, `select pg_database_size('avril')`))
  await makeBase(site, 'full')
  const begin = Number(await ask(site, `select pg_current_wal_lsn() - '0/0'`))

  say.step('an hour, and a look back')
  await write(site, HOUR)
  const hour = await lookBack(site)
  say.step('a day, and a look back')
  await write(site, DAY - HOUR)
  const day = await lookBack(site)
  let night = day.end
  for (let index = 2; index <= 6; index += 1) {
    say.step(`day ${index} of 6, after an incremental base`)
    await makeBase(site, 'incremental')
    night = Number(await ask(site, `select pg_current_wal_lsn() - '0/0'`))
    await write(site, DAY)
  }
  const week = await lookBack(site)
  const told = (seconds: number, wal: number) => `${seconds.toFixed(0)} s; ${size(wal)} of WAL`
  return {
    figures: [
      figures.plain('the database; transactions a day', `${size(bytes)}; ${DAY.toLocaleString('en-US')}`),
      figures.plain('psql.ts --at, one hour after the full base', told(hour.seconds, hour.end - begin)),
      figures.plain('  one day after it', told(day.seconds, day.end - begin)),
      figures.plain('  six days after it, by five incremental ones', told(week.seconds, week.end - night)),
      figures.most('  the longest of them', Math.max(hour.seconds, day.seconds, week.seconds), 120, 's', 0),
    ],
    details: { hour, day, week },
  }
}
