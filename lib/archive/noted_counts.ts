// What a table had at a moment, noted for the drill: once in each process that ships, so once an hour.
import * as v from 'valibot'
import { rows, type Server } from '../postgres/server.ts'
import { time, wholeNumber } from '../system/schema.ts'
import { readState, writeState } from '../system/state_folder.ts'
import { timestamp } from '../system/format.ts'
import type { Base, Chain } from './bases.ts'
import { positionOf } from './positions.ts'
import { missingSegments, type Reached, type Segments } from './receiver.ts'

const NOTED = v.object({
  at: time,
  /** the restore point that was made in that moment */
  point: v.string(),
  lsn: v.pipe(
    v.string(),
    v.check(it => positionOf(it) !== undefined, 'is not an LSN'),
  ),
  /** the server that counts its WAL so; missing in older notes */
  system: v.exactOptional(v.string()),
  schema: v.string(),
  table: v.string(),
  /** only this many pages of it were counted, the first ones; missing: all */
  pages: v.exactOptional(wholeNumber),
  rows: wholeNumber,
})

/** The rows of a table at a moment. */
export type NotedCount = v.InferOutput<typeof NOTED>

const FILE = 'counts.json'
const WEEKS = 2 * 7 * 86_400_000

export function readNotedCounts(): NotedCount[] {
  return readState(FILE, v.array(NOTED)) ?? []
}

/** A table that could be counted. */
export interface Candidate {
  schema: string
  table: string
  bytes: number
  /** as far as the server knows */
  hasRows: boolean
}

const CANDIDATES = `
select json_build_object('schema', n.nspname, 'table', c.relname, 'bytes', pg_table_size(c.oid), 'hasRows',
  c.reltuples > 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname !~ '^pg_'
  and not exists (select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
`

const [SMALL, LARGE] = [20_000_000, 200_000_000]
/** So much of a large one is counted: what is recovered has each row in the page that it was in. 20 MB. */
const PAGES = 2500

/**
 * One by chance, of the small ones if there are any, since nobody writes to it while it is counted; of a large one a
 * part is. Those with rows come before the empty ones. Undefined when there is none.
 */
export function chooseTable(candidates: Candidate[], chance = Math.random()) {
  const rank = ({ bytes, hasRows }: Candidate) => [bytes < SMALL, bytes < LARGE, hasRows].map(Number).join('')
  const best = candidates.map(rank).toSorted().at(-1)
  const equal = candidates.filter(it => rank(it) === best)
  const chosen = equal[Math.floor(chance * equal.length)]
  if (!chosen) return undefined
  const { schema, table, bytes } = chosen
  return { schema, table, ...(bytes < LARGE ? {} : { pages: PAGES }) }
}

/** SQL that counts what was noted, or is to be; the names of the schema and the table are variables. */
export function countQuery({ pages }: Pick<NotedCount, 'pages'>) {
  const part = pages === undefined ? '' : ` where ctid < '(${pages},0)'`
  return `select count(*) from only :"schema".:"table"${part}`
}

// What was committed to it before is in the WAL before the restore point, and nothing of it after. Who works with the
// table waits for some milliseconds; when somebody holds it, nothing is noted.
const noteQuery = (pages: Pick<NotedCount, 'pages'>) => `
begin;
set local lock_timeout = '300ms';
-- An autovacuum of the table gives way to who has waited for it so long.
set local deadlock_timeout = '100ms';
set local statement_timeout = '5s';
lock table only :"schema".:"table" in share mode;
select json_build_object('rows', (${countQuery(pages)}), 'lsn', pg_create_restore_point(:'point'),
  'system', (select system_identifier::text from pg_control_system()),
  'at', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
commit;
`

/**
 * Notes what one of the tables has now, one by chance. Gives undefined when there is none, or when somebody holds it.
 */
export async function noteCount(receiver: Server): Promise<NotedCount | undefined> {
  const choice = chooseTable(await rows<Candidate>(receiver, receiver.database, CANDIDATES))
  if (!choice) return undefined
  const point = `avril_moment_${timestamp(new Date())}`
  try {
    const { schema, table } = choice
    const [row] = await rows(receiver, receiver.database, noteQuery(choice), { schema, table, point })
    const noted = v.parse(NOTED, { ...choice, point, ...(row as object) })
    const since = Date.now() - WEEKS
    const kept = readNotedCounts().filter(({ at }) => Date.parse(at) > since)
    writeState(FILE, [...kept, noted], 0o600)
    return noted
  } catch {
    return undefined
  }
}

/** The bases by which a place of the WAL is recovered, the full one first; none when it is before all of them. */
export function basesBefore(chains: Chain[], lsn: string): Base[] {
  const place = positionOf(lsn) ?? 0
  const isBefore = ({ stopLsn }: Base) => (positionOf(stopLsn) ?? Infinity) <= place
  return chains.findLast(({ full }) => isBefore(full))?.bases.filter(isBefore) ?? []
}

/**
 * Whether all that a recovery to a place needs lies beside the database. A former server, and the same one before it
 * was brought back to a moment, had other places of the same name; what they noted is older than the base.
 */
export function isThere(
  chains: Chain[],
  segments: Segments,
  { received, segment }: Pick<Reached, 'received' | 'segment'>,
  { lsn, system, at }: Pick<NotedCount, 'lsn' | 'system' | 'at'>,
) {
  const [place, newest] = [positionOf(lsn) ?? Infinity, basesBefore(chains, lsn).at(-1)]
  if (!newest || newest.systemIdentifier !== system || place > (received ?? 0)) return false
  // A place of the same name in what the server had written before it was put back.
  if (Date.parse(at) < Date.parse(newest.endedAt)) return false
  return missingSegments(segments, newest.timeline, positionOf(newest.startLsn) ?? 0, place, segment).length === 0
}
