// Nobody writes to a database for a while, and whoever reads goes on.
import { Failure } from '../system/errors.ts'
import { hold } from '../system/run.ts'
import type { Disposable } from '../system/scope.ts'
import { psql, type Server, sql } from './server.ts'

/** Of the session that holds the locks. */
export const LOCKER = 'avril lock'

/** Throws a Failure when fewer sessions than these hold such locks in a database any more. */
export async function proveLocked(server: Server, database: string, sessions: number) {
  const query = `select count(*) from pg_stat_activity where datname = :'database' and application_name = '${LOCKER}'`
  if (Number(await sql(server, database, query, { database })) >= sessions) return
  throw new Failure(`somebody has ended the session that kept ${database} from being written to`, {
    hint: 'the old server goes on; run it again',
  })
}

/** tables that one command names: an argument has its limit */
const AT_ONCE = 200

/**
 * Has whoever writes to these tables wait, from when those who are at it have ended until it is disposed of, or this
 * process ends.
 */
export async function lockWrites(server: Server, database: string, tables: string[]): Promise<Disposable> {
  const all = tables.map(name => `only ${name}`)
  const parts = Array.from({ length: Math.ceil(all.length / AT_ONCE) }, (_, part) =>
    all.slice(part * AT_ONCE, (part + 1) * AT_ONCE),
  )
  const words = [
    `set application_name = '${LOCKER}'`,
    'begin',
    "set local lock_timeout = '10s'",
    'set local idle_in_transaction_session_timeout = 0',
    ...parts.map(part => `lock table ${part.join(', ')} in exclusive mode`),
    "select 'locked'",
    String.raw`\! cat`,
  ]
  const { release, stderr } = await hold(psql(server, database, ...words.flatMap(word => ['--command', word])))
  if (release) return { dispose: release }
  throw new Failure(`somebody is writing to ${database} without an end: ${stderr.trim()}`, {
    hint: "nothing was changed; who is it? scripts/psql.ts -c 'table pg_stat_activity'",
  })
}
