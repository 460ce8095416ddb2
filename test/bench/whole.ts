// The whole server of a database of more than 1 GB, brought back by its base and its log, against a restore of a dump
// and the command of the old scripts, in turn.
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { size } from '../../lib/system/format.ts'
import { say } from '../../lib/system/progress.ts'
import { capture } from '../../lib/system/run.ts'
import { ask, FILL, inPostgres, login, OLD_DUMP, oldRestore, QUIET, settle, startArchive } from './data.ts'
import { TSX } from './deploy.ts'
import { figuresOf, median, medianOf, type Outcome } from './figures.ts'
import { type Ran, run } from './script.ts'
import type { Site } from './site.ts'

const TIMES = 3

interface Restored {
  seconds: Record<string, number>
}
interface Whole extends Restored {
  waited: number
}

const start = async (site: Site) => {
  await startArchive(site)
  if ((await ask(site, "select to_regclass('applications') is null")) === 't') {
    say.step('filling the database')
    await ask(site, FILL)
  }
  await ask(site, QUIET)
  await run(site, 'backup', '--no-files')
}

// As the night has made one: what is measured is not how much was written since.
const makeBase = (site: Site) =>
  capture([process.execPath, TSX, join(site.folder, 'test', 'helpers', 'make_base.ts'), 'full'], { cwd: site.folder })

const inTurn = async (site: Site) => {
  const old: number[] = []
  const dumps: Ran<Restored>[] = []
  const whole: Ran<Whole>[] = []
  const loads: number[] = []
  for (let index = 1; index <= TIMES; index += 1) {
    say.step(`restore ${index} of ${TIMES}: the old one, a dump, the whole server`)
    await capture(await inPostgres(site, 'pg_dump', ...login, '-F', 'c', '-f', OLD_DUMP))
    await settle(site)
    old.push(await oldRestore(site))
    await settle(site)
    dumps.push(await run<Restored>(site, 'backup_restore', '--yes'))
    await settle(site)
    await makeBase(site)
    whole.push(await run<Whole>(site, 'backup_restore', '--whole-server', '--yes'))
    loads.push(loadavg()[0] ?? 0)
  }
  return { old, dumps, whole, loads }
}

// Its base and the archive come when the site has been up for long.
const untilUp = ({ wall, result: { seconds } }: Ran<Restored>) => wall - (seconds.archive ?? 0) - (seconds.base ?? 0)

export async function whole(site: Site): Promise<Outcome> {
  const figures = figuresOf('whole')
  await start(site)
  const bytes = Number(await ask(site, `select pg_database_size('avril')`))
  const { old, dumps, whole, loads } = await inTurn(site)
  const [before, dump, up] = [median(old), medianOf(dumps, ({ wall }) => wall), medianOf(whole, untilUp)]
  return {
    figures: [
      figures.plain('the database; the load meanwhile', `${size(bytes)}; ${loads.map(it => it.toFixed(0)).join(', ')}`),
      figures.plain('pg_restore --clean in place, all of it without service (median)', `${before.toFixed(1)} s`),
      figures.plain('backup_restore.ts, proof and comparison included (median)', `${dump.toFixed(1)} s`),
      figures.most('  time against the old one', dump / before, 1, '×'),
      figures.plain('backup_restore.ts --whole-server, until the site is up (median)', `${up.toFixed(1)} s`),
      figures.most('  time against the old one', up / before, 0.4, '×'),
      figures.plain('  with the new base', `${medianOf(whole, ({ wall }) => wall).toFixed(1)} s`),
      figures.plain('  in which requests waited', `${medianOf(whole, ({ result }) => result.waited).toFixed(1)} s`),
      figures.most('memory of the script', Math.max(...whole.map(({ peak }) => peak)), 150, 'MB', 0),
    ],
    details: { old, dumps, whole, loads },
  }
}
