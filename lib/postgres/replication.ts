// Logical replication from an old server to a new one: what is written to the old one from a moment on arrives at the
// new one, too. The moment is that of a snapshot, of which all else is copied.
// Long, since each step of it has its way back beside it.
import { EXIT, Failure } from '../system/errors.ts'
import { hold } from '../system/run.ts'
import { admin } from './databases.ts'
import { psql, rows, type Server, sessionsOf, sql } from './server.ts'
import type { Snapshot } from './snapshot.ts'

/** Of the publication, the slot and the subscription. */
const NAME = 'avril_upgrade'

/** The tables of a database, and whether what happens to their rows can be told: those have a key. */
export interface Tables {
  /** as SQL names them */
  replicated: string[]
  /** the others: without a key, or not logged */
  others: string[]
}

const TABLES = `
select json_build_object('name', format('%I.%I', nspname, relname),
  'replicated', relpersistence = 'p' and (relreplident = 'f'
  or exists (select from pg_index where indrelid = c.oid and indisvalid and indimmediate
    and case relreplident when 'd' then indisprimary when 'i' then indisreplident else false end)))
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and relpersistence <> 't' and nspname not like 'pg\\_%' and nspname <> 'information_schema'
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
order by 1::text
`

export async function listTables(server: Server, database: string): Promise<Tables> {
  const all = await rows<{ name: string; replicated: boolean }>(server, database, TABLES)
  const namesOf = (wanted: boolean) => all.filter(it => it.replicated === wanted).map(it => it.name)
  return { replicated: namesOf(true), others: namesOf(false) }
}

const OBSTACLES = `
select to_json(format('the trigger %s of %s runs for replicated rows, too', tgname, tgrelid::regclass))
from pg_trigger where tgenabled in ('A', 'R') and not tgisinternal
union all
select to_json(format('the server has a prepared transaction (%s)', gid)::text) from pg_prepared_xacts
`

/** Why a database cannot be replicated, in words; empty when it can. */
export function obstacles(server: Server) {
  return rows<string>(server, server.database, OBSTACLES)
}

interface Levels {
  wal: string
  slots: number
  senders: number
}

/** Whether the server has to be started anew before it can tell what is written to it. */
export async function needsRestart(server: Server) {
  const query = `select json_build_object('wal', current_setting('wal_level'),
    'slots', current_setting('max_replication_slots')::int - (select count(*) from pg_replication_slots),
    'senders', current_setting('max_wal_senders')::int - (select count(*) from pg_stat_replication))`
  const [levels] = await rows<Levels>(server, server.database, query)
  return levels?.wal !== 'logical' || levels.slots < 1 || levels.senders < 1
}

const SET = ['wal_level', 'max_replication_slots', 'max_wal_senders']
const LIMIT = 'max_slot_wal_keep_size'

/** Has the server tell, once it has been started anew. */
export async function prepareServer(server: Server) {
  await admin(server, "alter system set wal_level = 'logical'")
  for (const name of SET.slice(1))
    await admin(
      server,
      `select format('alter system set %I = %s', :'name', current_setting(:'name')::int + 4)\\gexec`,
      { name },
    )
}

/** What ALTER SYSTEM has set of what an upgrade sets. */
export async function systemSettings(server: Server) {
  const query = `select json_object_agg(name, (select setting from pg_file_settings f
    where f.name = wanted.name and sourcefile ~ 'postgresql.auto.conf$' order by seqno desc limit 1))
    from unnest(string_to_array(:'set', ',')) as wanted(name)`
  const [had] = await rows<Record<string, string | null>>(server, server.database, query, {
    set: [...SET, LIMIT].join(','),
  })
  return had ?? {}
}

/** Bounds what the old server keeps for a new one that does not fetch it: its disk must not fill up. In bytes. */
export async function limitKept(server: Server, bytes: number) {
  await admin(server, `alter system set ${LIMIT} = '${Math.max(64, Math.floor(bytes / 2 ** 20))}MB'`)
  await admin(server, 'select pg_reload_conf()')
}

/** Publishes what happens to tables from now on, and gives a snapshot of the moment before. */
export async function openPublication(server: Server, tables: string[]): Promise<Snapshot> {
  const list = tables.map(name => `only ${name}`).join(', ')
  await sql(server, server.database, `create publication ${NAME}${list && ` for table ${list}`}`)
  // By the protocol of replication, which alone gives a snapshot of a slot; it lives as long as this session.
  const told = { ...server, sessions: { ...sessionsOf(server), reserved: true } }
  const words = [`CREATE_REPLICATION_SLOT ${NAME} LOGICAL pgoutput EXPORT_SNAPSHOT`, String.raw`\! cat`]
  const { release, stdout, stderr } = await hold(psql(told, server.database, ...words.flatMap(it => ['--command', it])))
  const id = stdout.split('|')[2]
  if (release && id !== undefined) return { id, release }
  await release?.()
  throw new Failure(`the database ${server.database} gave no place in its log: ${stderr.trim() || stdout}`, {
    hint: 'a transaction that has been open for long keeps it waiting: scripts/psql.ts -c "table pg_stat_activity"',
  })
}

const SUBSCRIBE = `
set log_statement = none;
create subscription ${NAME} connection :'connection' publication ${NAME}
  with (create_slot = false, slot_name = ${NAME}, copy_data = false)
`

/** Has the new server fetch what was published. The old one trusts who connects by 127.0.0.1. */
export async function subscribe(server: Server, old: Server) {
  const quote = (text: string) => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`
  const words = {
    host: '127.0.0.1',
    port: '5432',
    user: old.user,
    dbname: old.database,
    options: old.sessions?.options ?? '',
  }
  const connection = Object.entries(words).map(([name, value]) => `${name}=${quote(value)}`)
  await sql(server, server.database, SUBSCRIBE, { connection: connection.join(' ') })
}

interface Behind {
  /** of the old server's log, in bytes; null when the old one has thrown away what was not fetched yet */
  bytes: number | null
}

const BEHIND = `
select json_build_object('bytes', case when wal_status = 'lost' then null
  else pg_wal_lsn_diff(coalesce(nullif(:'lsn', '')::pg_lsn, pg_current_wal_lsn()), confirmed_flush_lsn) end)
from pg_replication_slots where slot_name = '${NAME}'
`

/**
 * How far the new server is behind the old one, or behind a place in its log, in bytes. Throws a Failure when it does
 * not follow any more.
 */
export async function behind(server: Server, old: Server, lsn = '') {
  const [told] = await rows<Behind>(old, old.database, BEHIND, { lsn })
  const errors = await sql(server, server.database, 'select sum(apply_error_count) from pg_stat_subscription_stats')
  if (Number(errors) > 0)
    throw new Failure('the new server could not do what was done to the old one', {
      exitCode: EXIT.data,
      hint: 'the old one goes on. Its structure must not change meanwhile; --window upgrades without replication',
    })
  if (told && told.bytes !== null) return told.bytes
  throw new Failure('the old server did not keep what the new one had not fetched yet', {
    hint: 'the old one goes on. Its disk had no room for it: free some, or upgrade when less is written',
  })
}

/** Ends it on the new server, which has all then. */
export async function unsubscribe(server: Server) {
  const end = ['alter subscription % disable', 'alter subscription % set (slot_name = none)', 'drop subscription %']
  await sql(server, server.database, end.join(';').replaceAll('%', NAME))
}

// The process that sends has just been told to end.
const DROP_SLOT = `
select pg_terminate_backend(active_pid, 10000) from pg_replication_slots
where slot_name = '${NAME}' and active_pid is not null;
select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '${NAME}';
`

/** Removes the publication that came along with a copy. */
export async function forgetPublication(server: Server, database: string) {
  await sql(server, database, `drop publication if exists ${NAME}`)
}

// The archive sets one of them, too, and what else is replicated needs them.
const RESET = String.raw`
select case when value is null then format('alter system reset %I', key)
  else format('alter system set %I = %L', key, value) end
from json_each_text(:'had') \gexec
select pg_reload_conf();
`

/**
 * Removes from the old server whatever an upgrade has left in it, and has ALTER SYSTEM set again what it `had`; the log
 * level holds until it is started anew.
 */
export async function forgetReplication(server: Server, had: Record<string, string | null> = {}) {
  const text = `${DROP_SLOT} drop publication if exists ${NAME}; ${RESET}`
  await sql(server, server.database, text, { had: JSON.stringify(had) })
}
