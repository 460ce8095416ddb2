// A database of one server, made again in another one.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { capture } from '../system/run.ts'
import { bringBack, type Lost } from './bring_back.ts'
import { maintenance } from './databases.ts'
import { statisticsFlags } from './statistics.ts'
import { asData, inServer, JOBS, psql, searchPathOf, type Server, sql } from './server.ts'

const script = (name: string) => readFileSync(join(root, 'postgres', name), 'utf8')

const describe = (server: Server, name: string) =>
  sql(server, maintenance(server), script('save_database.sql'), { name })

const build = (server: Server, description: string, name: string, what: string) =>
  capture(psql(server, maintenance(server)), { input: asData(description) + script(name), what })

/** Makes an empty database as it is in another server. Throws a Failure when it cannot have the same locale here. */
export async function makeDatabaseLike(server: Server, from: Server, name: string) {
  await build(server, await describe(from, name), 'make_database.sql', `making the database ${name}`)
}

/** Gives a database what it has in another server, and no dump holds: settings, rights, comment, limit. */
export async function setDatabaseLike(server: Server, from: Server, name: string) {
  await build(server, await describe(from, name), 'set_database.sql', `setting the database ${name}`)
}

const DUMP =
  'rm -rf "$0" && pg_dump --format=directory --compress=lz4:1 --no-sync --no-password --lock-wait-timeout=60s ' +
  '--file="$0" "$@"'

interface Copy {
  from: Server
  to: Server
  name: string
  /** the moment that it is copied of; absent: now */
  snapshot?: string
  /** a folder of the new server's, for what passes through */
  work: string
  /** has a program in the new server's container reach the old one */
  reach: (...command: string[]) => string[]
}

/**
 * Fills an empty database, by the pg_dump of the newer server, as upgrades ask for. Gives what could not be made again.
 */
export async function copyDatabase({ from, to, name, snapshot, work, reach }: Copy): Promise<Lost[]> {
  const moment = snapshot === undefined ? [] : [`--snapshot=${snapshot}`]
  const statistics = statisticsFlags(Number(await sql(to, maintenance(to), 'show server_version_num')))
  const words = [work, `--jobs=${JOBS}`, ...statistics, ...moment, `--dbname=${name}`]
  await capture(inServer(to, ...reach('bash', '-c', DUMP, ...words)), { what: `pg_dump of ${name}` })
  try {
    return await bringBack(to, name, work, { searchPath: await searchPathOf(from, name), give: name === to.database })
  } finally {
    await capture(inServer(to, 'rm', '-rf', work))
  }
}
