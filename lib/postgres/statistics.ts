// What the planner counts on: a dump of PostgreSQL 18 or later brings it along, and only what it lacks is gathered.
import { say } from '../system/progress.ts'
import { messageOf } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import { checkInterruption } from '../system/signals.ts'
import { inSession, JOBS, login, type Server, sql } from './server.ts'

/** The first version whose dumps bring statistics. */
const FIRST = 180_000

/** pg_dump's words for it. */
export function statisticsFlags(number: number) {
  return number >= FIRST ? ['--statistics'] : []
}

/**
 * pg_restore's words to leave them out: they hold values of the rows, and those of a table that becomes empty would
 * stay.
 */
export async function withoutStatistics(server: Server) {
  return (await knowsStatistics(server, 'template1')) ? ['--no-statistics'] : []
}

const knowsStatistics = async (server: Server, database: string) =>
  Number(await sql(server, database, 'show server_version_num')) >= FIRST

// vacuumdb leaves these out.
const PARTITIONED = String.raw`
select format('analyze %s', oid::regclass) from pg_class
  where relkind = 'p' and (:'all' = 't' or not exists (select from pg_statistic where starelid = oid)) \gexec
`

/**
 * Gathers the statistics of a database: those that are missing, or all. An expression that cannot be computed is no
 * reason to lack the data; postgres gathers by itself what is missing.
 */
export async function gatherStatistics(server: Server, database: string, all = false) {
  try {
    const missing = !all && (await knowsStatistics(server, database))
    const words = ['--analyze-only', ...(missing ? ['--missing-stats-only'] : []), '--quiet', '--no-password']
    await capture(inSession(server, [], 'vacuumdb', ...words, ...login(server, database), `--jobs=${JOBS}`), {
      what: 'vacuumdb',
    })
    await sql(server, database, PARTITIONED, { all: missing ? 'f' : 't' })
  } catch (error) {
    checkInterruption()
    say.warn(`not all statistics could be gathered: ${messageOf(error)}`)
  }
}
