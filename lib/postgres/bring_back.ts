// Fills an empty database from a dump, so that its data come back whatever else in it cannot be made again.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { superusersObjects } from './app_role.ts'
import { address, inSession, JOBS, type Server } from './server.ts'
import { capture } from '../system/run.ts'

/** What did not come back: an index, a view, a check. */
export interface Lost {
  object: string
  why: string
  sql: string
}

// None is kept for whoever is no superuser.
const TAKEN =
  'for "too many clients": the apps hold all connections; docker compose restart phoenix (with several servers: a ' +
  'deploy of it) has them let go, then run this again'

interface Filling {
  /** of the application's sessions; missing when nobody knows it */
  searchPath: string | undefined
  /** pg_restore's options */
  flags?: string[]
  /** further words of PGOPTIONS */
  settings?: string[]
  /** phoenix's role gets what belongs to a superuser: it is the site's database */
  give?: boolean
}

/** What the script prints, as data. */
export function lostIn(text: string): Lost[] {
  return text.split('\u0002').flatMap(record => {
    const [object = '', why = '', sql = ''] = record.trim().split('\u0001')
    return object === '' ? [] : [{ object, why, sql: sql.trim() }]
  })
}

/**
 * Does it, by a dump that the server sees at `inside`. Throws a Failure with the server's own words when rows are
 * missing.
 */
export async function bringBack(
  server: Server,
  database: string,
  inside: string,
  { searchPath = '"$user", public', flags = [], settings = [], give = false }: Filling,
) {
  const script = readFileSync(join(root, 'postgres', 'bring_back.sh'), 'utf8')
  const gift = give && server.app !== server.user ? superusersObjects() : ''
  const words = [address(server, database), inside, String(JOBS), searchPath, server.app, gift, ...flags]
  return lostIn(
    await capture(
      inSession(server, settings, 'env', `PGUSER=${server.user}`, 'bash', '-c', script, 'bring_back', ...words),
      { what: 'pg_restore', hint: TAKEN },
    ),
  )
}
