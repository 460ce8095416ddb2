// What the old server has, brought to the new one and compared.
import { compareRows } from '../postgres/compare_rows.ts'
import { copyDatabase, makeDatabaseLike, setDatabaseLike } from '../postgres/copy_database.ts'
import { dropDatabase } from '../postgres/databases.ts'
import { lockWrites, LOCKER } from '../postgres/lock_writes.ts'
import { behind, forgetPublication, listTables } from '../postgres/replication.ts'
import { copySequences, LARGE_DIGEST, LARGE_OBJECTS, proveLargeObjects, structureOf } from '../postgres/remainder.ts'
import { type Server, sql } from '../postgres/server.ts'
import { countRows } from '../postgres/snapshot.ts'
import { gatherStatistics } from '../postgres/statistics.ts'
import { together } from '../system/concurrency.ts'
import { size } from '../system/format.ts'
import { say } from '../system/progress.ts'
import type { Scope } from '../system/scope.ts'
import { sleep } from '../system/signals.ts'
import { PLACE } from '../postgres/server_image.ts'
import { fromThere } from './new_server.ts'
import type { UpgradeWork } from './plan.ts'

/** What passes through, in the new server. */
export const WORK = `${PLACE}/.upgrade`

/** Throws a Failure (65) when the new server has not the rows of the old one. */
export function compareServers(expected: Record<string, number>, found: Record<string, number>) {
  compareRows(expected, found, {
    message: differing => `the new server has not the rows of the old one (${differing} tables differ)`,
    found: 'in the new one',
    expected: 'in the old one',
    hint: 'the old one goes on; run it again, and if it happens again: --window',
  })
}

/** Copies a database as it is at a moment, its rows compared with those of that moment. */
export async function copyWhole({ old, server, data }: UpgradeWork, name: string, snapshot?: string) {
  data.step('copy', `${name} into the new server${snapshot === undefined ? '' : ', while the old one is written to'}`)
  const reach = (...command: string[]) => fromThere(old, ...command)
  const moment = snapshot === undefined ? {} : { snapshot }
  const lost = await copyDatabase({ from: old, to: server, name, ...moment, work: WORK, reach })
  await setDatabaseLike(server, old, name)
  await forgetPublication(server, name)
  data.step('compare', `${name}, table by table`)
  const [expected, found] = await together(() => [countRows(old, name, snapshot), countRows(server, name)])
  compareServers(expected, found)
  data.step('analyze', name)
  await gatherStatistics(server, name)
  return lost
}

// A session tells what it has changed when it ends; until then it may keep that for itself, and servers before 15 read
// it half a second late. What is emptied is another file, and tells nothing else.
const CHANGES = `
select pg_terminate_backend(pid, 5000) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()
  and application_name <> '${LOCKER}' and :'end' = 't' \\g /dev/null
select pg_sleep(1) where :'end' = 't' and current_setting('server_version_num')::int < 150000 \\g /dev/null
select concat_ws(' ', (select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables),
  (select md5(string_agg(oid || ' ' || relfilenode, ',' order by oid)) from pg_class
    where relkind = 'r' and relpersistence <> 't' and oid >= 16384))
`

/** What changes when a database is written to. */
const changesOf = async (server: Server, name: string, isEnd: boolean) =>
  [
    await sql(server, name, CHANGES, { end: isEnd ? 't' : 'f' }),
    await structureOf(server, name),
    await sql(server, name, LARGE_DIGEST),
  ].join(' ')

/** Copies the other databases, and gives what brings those again that were written to meanwhile, and locks them. */
export async function copyOthers(work: UpgradeWork) {
  const { old, server, plan } = work
  const seen = new Map<string, string>()
  for (const name of plan.others) {
    seen.set(name, await changesOf(old, name, false))
    await copyWhole(work, name)
  }
  return async (scope: Scope) => {
    for (const name of plan.others) {
      const { replicated, others } = await listTables(old, name)
      scope.use(await lockWrites(old, name, [...replicated, ...others]))
      if ((await changesOf(old, name, true)) !== seen.get(name)) {
        await dropDatabase(server, name)
        await makeDatabaseLike(server, old, name)
        await copyWhole(work, name)
      }
      await copySequences(old, server, name)
      scope.use(await lockWrites(old, name, LARGE_OBJECTS))
      await proveLargeObjects(old, server, name)
    }
  }
}

/** bytes of the old server's log that are fetched in no time */
const CLOSE = 1 << 20

/** Waits until the new server has what was written to the old one. */
export async function catchUp({ old, server }: UpgradeWork, lsn?: string) {
  let told = performance.now()
  for (;;) {
    const left = await behind(server, old, lsn)
    if (left <= (lsn === undefined ? CLOSE : 0)) return
    if (performance.now() - told > 10_000) {
      say.detail(`${size(left)} to fetch`)
      told = performance.now()
    }
    await sleep(lsn === undefined ? 500 : 50)
  }
}
