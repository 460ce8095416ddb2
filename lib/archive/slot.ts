// The slot by which the server keeps what the service wal has not received yet. Without WAL=on nobody receives it, and
// the server would keep up to WAL_KEEP of it for ever.
import { findServer, openSessions, sql } from '../postgres/server.ts'
import type { Settings } from '../system/settings.ts'
import { isArchived } from './receiver.ts'

const FACTS = `
select json_build_object('version', current_setting('server_version_num')::int, 'server',
  split_part(current_setting('server_version'), ' ', 1),
  'slot', (select case when active then 'active' else 'idle' end from pg_replication_slots
    where slot_name = 'avril_wal'))
`

/** What a server says of itself that decides about an archive of it. */
export interface SlotFacts {
  /** PostgreSQL's version as a number, and as people write it */
  version: number
  server: string
  /** active while somebody receives by it; null without one */
  slot: 'active' | 'idle' | null
}

/** Asks the stack's server. Throws a Failure (69) when it does not answer. */
export async function readSlotFacts(settings: Settings): Promise<SlotFacts> {
  const server = await findServer(settings.COMPOSE_PROJECT_NAME, settings)
  return JSON.parse(await sql(server, 'postgres', FACTS)) as SlotFacts
}

const DROP =
  `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'avril_wal' and not ` +
  'active'

/**
 * Drops the slot where WAL is not on, and nobody receives by it. What was archived stays; with WAL=on again the archive
 * begins anew, with a base of its own. Gives whether there was one.
 */
export async function dropIdleSlot(settings: Settings) {
  if (isArchived(settings)) return false
  // By a connection that is kept free, should the apps have all others.
  const server = await openSessions(await findServer(settings.COMPOSE_PROJECT_NAME, settings))
  return (await sql(server, 'postgres', `select count(*) from (${DROP}) as dropped`)) === '1'
}
