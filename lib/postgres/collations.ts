// What a newer C library or ICU sorts otherwise: an index of texts that was built by the former one finds rows no more,
// or takes two of the same. PostgreSQL notes by which version each collation was used.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { attempt, failureOf } from '../system/run.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { maintenance } from './databases.ts'
import { psql, rows, type Server, sql } from './server.ts'

/** A database with indexes that were sorted by another version. */
export interface Outdated {
  database: string
  /** what has another version, in words: "fr-x-icu (153.112, now 153.128)" */
  collations: string[]
  /** as SQL names them */
  indexes: string[]
  /** the commands that note the version of now */
  refresh: string[]
}

const DATABASES = 'select to_json(datname) from pg_database where datallowconn order by datname'

const outdatedQuery = () => readFileSync(join(root, 'postgres', 'outdated_collations.sql'), 'utf8')

/** The databases with collations of another version than their indexes were sorted by. */
export async function outdatedCollations(server: Server): Promise<Outdated[]> {
  const names = await rows<string>(server, maintenance(server), DATABASES)
  const query = outdatedQuery()
  const found = await Promise.all(names.map(name => rows<Outdated>(server, name, query)))
  return found.flat()
}

/** What is to be said of them; undefined when there are none. */
export async function collationTrouble(server: Server) {
  const outdated = await outdatedCollations(server)
  if (outdated.length === 0) return undefined
  const texts = outdated.map(({ database, indexes }) => `${database} (${indexes.length})`)
  return (
    'indexes were sorted by another library than that of this image, and may not find all rows: ' +
    `${texts.join(', ')}. tsx scripts/postgres_upgrade.ts builds them anew`
  )
}

// One that belongs to an exclusion constraint cannot be built beside the one that is used.
const REINDEX = String.raw`
select format('reindex index %s %s', case when indisexclusion then '' else 'concurrently' end, indexrelid::regclass)
  from pg_index where indexrelid = (:'index')::regclass \gexec
`

/**
 * Builds the indexes anew, beside the ones that are used meanwhile, and notes the version. Throws a Failure for one
 * that cannot be.
 */
export async function renewCollations(server: Server, { database, indexes, refresh }: Outdated) {
  const failed: string[] = []
  for (const index of indexes) {
    say.detail(`${database}: ${index}`)
    const command = psql(server, database, `--set=index=${index}`)
    const outcome = await attempt(command, { input: REINDEX })
    if (outcome.code !== 0) failed.push(messageOf(failureOf(command, outcome, { what: index })))
  }
  if (failed.length > 0)
    throw new Failure(`not all indexes of ${database} could be built anew:\n  ${failed.join('\n  ')}`, {
      hint:
        'rows that are the same by the new order are in the way of a unique index: correct them (scripts/psql.ts), ' +
        'then run this again',
    })
  await sql(server, database, refresh.map(command => `${command};`).join('\n'))
}
