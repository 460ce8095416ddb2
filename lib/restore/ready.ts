// The ready copy: a database that was filled from the newest backup, and compared, before anybody needed it. Restoring
// that backup is then a rename.
import * as v from 'valibot'
import { audit } from '../system/audit.ts'
import { hostname } from 'node:os'
import { usersOf } from '../docker/restart.ts'
import { adoptFromLive, admin, databaseExists, databaseName } from '../postgres/databases.ts'
import { checkSwappable } from '../postgres/swap_databases.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import type { Planned } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { readState, writeState } from '../system/state_folder.ts'
import { startAnew, swapIn } from './cutover.ts'
import type { Source } from './find_dump.ts'
import { checkDump, countBoth, knownDump, type RestorePlan, type RestoreRequest } from './plan.ts'
import type { RestoreResult } from './plan.ts'
import type { RestoreWork } from './work.ts'

const READY = v.object({
  database: v.string(),
  /** of the dump that it was filled from */
  sha256: v.string(),
})

/** A database that is ready to take the place of the live one. */
export type Ready = v.InferOutput<typeof READY>

const FILE = 'ready.json'

export function noteReady(ready: Ready) {
  writeState(FILE, ready)
}

// One that another version of the library sorted finds rows no more. A server before 15 notes none.
const QUERY = String.raw`
select current_setting('server_version_num')::int >= 150000 as notes \gset
\if :notes
select true from pg_database where datname = :'name' and not datallowconn
  and datcollversion is not distinct from pg_database_collation_actual_version(oid);
\else
select true from pg_database where datname = :'name' and not datallowconn;
\endif
`

/** The one that was filled from this very dump, and that nobody has been connected to since. */
const readyFor = async ({ server }: RestoreWork, { sha256 }: Source, request: RestoreRequest) => {
  const { into, anonymise, noOwner, noAcl, files } = request
  const ready = readState(FILE, READY)
  if (!ready || sha256 !== ready.sha256 || into !== undefined || anonymise !== undefined) return undefined
  if (noOwner || noAcl || files) return undefined
  return (await admin(server, QUERY, { name: ready.database })) === 't' ? ready.database : undefined
}

/** Plans a restore by the ready copy; undefined when there is none of this dump, or it is not what is wanted. */
export async function openReady(
  work: RestoreWork,
  settings: Settings,
  source: Source,
  request: RestoreRequest,
): Promise<Omit<Planned<RestorePlan, RestoreResult>, 'dispose'> | undefined> {
  const { server, stack, data, stamp } = work
  const ready = await readyFor(work, source, request)
  const [dump, { known }] = [knownDump(source), source]
  if (ready === undefined || !dump || !known) return undefined
  data.step('prove', `${ready} is ready`)
  await checkDump(server, source, dump, request)
  await checkSwappable(server)
  const former = (await databaseExists(server, server.database))
    ? databaseName(server.database, 'before', stamp)
    : undefined
  const plan: RestorePlan = {
    source: source.path,
    origin: `${known.name}, made on ${known.host} by ${known.who}`,
    dump,
    host: hostname(),
    database: server.database,
    replaces: true,
    former,
    ...(await countBoth(server, dump)),
    searchPath: known.database.searchPath ?? '',
    runs: undefined,
    restarts: (await usersOf(stack, 'postgres')).map(({ name }) => name),
    ready,
  }
  const place = async () => {
    audit('restore', { dump: plan.source, ready, database: plan.database, former: former ?? null })
    await adoptFromLive(server, ready)
    await admin(server, 'alter database :"ready" allow_connections true', { ready })
    const swapped = await startAnew(work, await swapIn(work, ready, former))
    return {
      result: 'restored' as const,
      from: plan.source,
      ...swapped,
      lost: [],
      files: null,
      seconds: data.seconds(),
    }
  }
  const execute = async () => {
    const about = { kind: 'restore', from: plan.source, database: plan.database, former: former ?? null }
    return tellAfter(await runBefore('restore', settings, about), place, () => ({ lost: 0, files: null }))
  }
  return { plan, execute }
}
