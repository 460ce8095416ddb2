// The service wal, which receives the WAL: what is asked of it, and run in it. Its files are read through it alone,
// never by paths of this machine: what a container can write is not trusted.
import * as v from 'valibot'
import { listInstances } from '../docker/containers.ts'
import { captureInServer, inServer, loginsOf, rows, type Server } from '../postgres/server.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { time, wholeNumber } from '../system/schema.ts'
import type { Settings } from '../system/settings.ts'
import { LSN, type Piece, segmentName, segmentsBetween, segmentStart } from './positions.ts'

/** Whether what is written to the database is kept as it is written. */
export function isArchived({ WAL }: Pick<Settings, 'WAL'>) {
  return WAL === 'on'
}

/** The container of the service wal, by which the server is reached. Throws a Failure (69) when it does not run. */
export async function findReceiver(settings: Settings): Promise<Server> {
  if (!isArchived(settings))
    throw badConfig('WAL is not on in .env: nothing is kept but the nightly sets', 'tsx scripts/setup.ts --archive')
  const instances = await listInstances(settings.COMPOSE_PROJECT_NAME, 'wal')
  const found = instances.find(({ running, oneOff }) => running && !oneOff)
  if (found) return { id: found.id, name: found.name, image: found.image, ...loginsOf(settings) }
  throw new Failure('the service wal is not running', {
    exitCode: EXIT.unreachable,
    hint: 'docker compose up -d wal; its log: scripts/logs.ts wal',
  })
}

/** postgres/base.sh in the service wal. */
export function baseScript(receiver: Pick<Server, 'id'>, ...words: string[]) {
  return inServer(receiver, 'bash', '/etc/avril/base.sh', ...words)
}

const REACHED = v.object({
  /** the server's clock, before all else was read: what was committed before is in the WAL up to `flushed` */
  at: time,
  timeline: wholeNumber,
  /** how far the server has written the WAL, for good */
  flushed: LSN,
  /** how far it is received, for good; null while nothing is connected */
  received: v.nullable(LSN),
  /** what the server says of the slot: reserved, extended, unreserved, lost; null without one */
  slot: v.nullable(v.string()),
  /** bytes of a segment */
  segment: wholeNumber,
  /** PostgreSQL's version, and as a number */
  server: v.string(),
  version: wholeNumber,
  tablespaces: wholeNumber,
})

/** How far the server has written, and how far that is received. */
export type Reached = v.InferOutput<typeof REACHED>

const QUERY = `
select json_build_object(
  'at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  'timeline', ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
  'flushed', pg_current_wal_flush_lsn(),
  'received', (select r.flush_lsn from pg_stat_replication r where r.pid = s.active_pid),
  'slot', s.wal_status,
  'segment', pg_size_bytes(current_setting('wal_segment_size')),
  'server', split_part(current_setting('server_version'), ' ', 1),
  'version', current_setting('server_version_num')::int,
  'tablespaces', (select count(*) from pg_tablespace where spcname not in ('pg_default', 'pg_global')))
from (select) one left join pg_replication_slots s on s.slot_name = 'avril_wal';
`

/** Asks the server, through the service wal. Throws a Failure (69) when it does not answer. */
export async function readReached(receiver: Server): Promise<Reached> {
  const [row] = await rows(receiver, 'postgres', QUERY)
  return v.parse(REACHED, row)
}

/** The segments that are received, whole or in part: name → bytes. A part has the name of the whole one. */
export async function listSegments(receiver: Server) {
  const lines = (await captureInServer(receiver, baseScript(receiver, 'segments'))).split('\n').filter(Boolean)
  return new Map(
    lines.flatMap(line => {
      const [, name, partial, bytes] = /^([0-9A-F]{24})(\.partial)? (\d+)$/.exec(line) ?? []
      return name === undefined ? [] : [[name, { bytes: Number(bytes), partial: partial !== undefined }] as const]
    }),
  )
}

export type Segments = Awaited<ReturnType<typeof listSegments>>

/** The segments between two positions that are not there, or not whole; the last one may be a part. */
export function missingSegments(segments: Segments, timeline: number, from: number, to: number, segment: number) {
  const names = segmentsBetween(timeline, from, to, segment)
  return names.filter((name, index) => {
    const found = segments.get(name)
    return found?.bytes !== segment || (found.partial && index < names.length - 1)
  })
}

/** Whether a segment is there up to where it is read. */
export function hasPiece(
  { segments, reached }: { segments: Segments; reached: Pick<Reached, 'segment' | 'received'> },
  { timeline, start, end }: Piece,
) {
  const found = segments.get(segmentName(timeline, start, reached.segment))
  return found?.bytes === reached.segment && (!found.partial || end <= (reached.received ?? 0))
}

/** The sha256 of a range of the WAL as the service wal has it. */
export async function digestOf(receiver: Pick<Server, 'id'>, { timeline, start, end }: Piece, segment: number) {
  const offset = start - segmentStart(start, segment)
  const words = [segmentName(timeline, start, segment), String(offset), String(end - start)]
  return (await captureInServer(receiver, baseScript(receiver, 'digest', ...words))).trim()
}
