// How far a chain brings a server back that has nothing left of its own: by the last base from which the WAL goes on,
// up to where something of it is missing.
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { type OffSite, readStream } from '../backup/offsite/layout.ts'
import { plainSize } from '../system/files.ts'
import { readJson } from '../system/schema.ts'
import { SEGMENT } from './bases.ts'
import type { Damage } from './check_archive.ts'
import { keyOf, type Offsite } from './offsite_listing.ts'
import { pieceOf, positionOf, segmentStart, timeInName } from './positions.ts'
import {
  chainFolder,
  type Complete,
  completeIn,
  piecesIn,
  readComplete,
  readPieces,
  readShippedBases,
  SHIPPED_BASE,
  type ShippedBase,
  type ShippedPiece,
} from './shipped.ts'
import { linkedBases } from './stage_chain.ts'

/** The end of what a chain brings back. */
export interface ChainReach {
  /** all that was committed before comes back; ISO 8601, UTC */
  at: string
  /** where the WAL that is used ends */
  end: number
  /** the newest base that is used */
  base: string
  /** there is WAL behind that, which something before it is missing to */
  broken: boolean
}

/** In bytes: with pictures of all pages that one may have. */
const LONGEST_RECORD = 2 ** 20

// A clock that is wrong on a new machine leaves no base out.
const NEVER = new Date(8.64e15)

/**
 * Of its bases, the pieces of its WAL in any order, and what it says of its end; for a moment from a base before it on.
 * Undefined when it brings nothing back.
 */
export function reachOf(
  bases: ShippedBase[],
  pieces: Pick<ShippedPiece, 'start' | 'end' | 'at'>[],
  complete: Complete | undefined,
  until = NEVER,
): ChainReach | undefined {
  const sorted = pieces.toSorted((a, b) => a.start - b.start)
  const last = Math.max(complete?.end ?? 0, ...pieces.map(({ end }) => end))
  for (const base of linkedBases(bases, until).toReversed()) {
    const begin = segmentStart(positionOf(base.startLsn) ?? 0, base.segment ?? SEGMENT)
    let [end, at] = [begin, base.endedAt]
    for (const piece of sorted) {
      if (piece.end <= end) continue
      if (piece.start > end) break
      end = piece.end
      if (Date.parse(piece.at) > Date.parse(at)) at = piece.at
    }
    if (end < (positionOf(base.stopLsn) ?? Infinity)) continue
    // Off the site it may be an hour old, and a piece younger.
    const isLater = complete !== undefined && end >= complete.end && Date.parse(complete.at) > Date.parse(at)
    return { at: isLater ? complete.at : at, end, base: base.name, broken: end < last }
  }
  return undefined
}

/**
 * Whether WAL up to a place was not replayed to its end, by where the last record that was replayed begins: PostgreSQL
 * takes the first that it does not understand for the end. One that ends a segment early is followed by the next
 * segment.
 */
export function endsEarly(to: number, last: number, segment = SEGMENT) {
  const next = segmentStart(last, segment) + segment
  return to - (to > next ? next : last) > LONGEST_RECORD
}

/** What is told of a chain before it is brought. */
export interface ChainFacts {
  chain: string
  /** the first moment that it brings back; ISO 8601, UTC */
  from: string
  reach: ChainReach
  /** bytes of its full base, compressed */
  size: number
  /** PostgreSQL's version, of the base that is used */
  server: string
  /** the public keys that it is encrypted to; undefined: it is not */
  recipients: string[] | undefined
}

const factsOf = (chain: string, bases: ShippedBase[], reach: ChainReach | undefined): ChainFacts | undefined => {
  const [base, full] = [bases.find(({ name }) => name === reach?.base), bases[0]]
  if (!reach || !base || !full) return undefined
  return { chain, from: full.endedAt, reach, size: full.bytes, server: base.server, recipients: base.recipients }
}

/**
 * Of a chain in BACKUP_DIR, for a moment if there is one; without what is damaged. Undefined when it brings nothing
 * back.
 */
export function factsHere(backups: string, chain: string, until?: Date, damaged: Damage[] = []) {
  const wal = join(chainFolder(backups, chain), 'wal')
  const bases = readShippedBases(backups, chain).bases.filter(({ name }) => !damaged.some(({ base }) => base === name))
  const isWhole = ({ name, bytes, start, end }: ShippedPiece) =>
    plainSize(join(wal, name)) === bytes && !damaged.some(({ range }) => range?.start === start && range.end === end)
  return factsOf(chain, bases, reachOf(bases, readPieces(wal).filter(isWhole), readComplete(backups, chain), until))
}

/** The same of a chain off the site: by what is not encrypted, and by the names of the rest. */
export async function factsOffsite(site: OffSite, there: Offsite, chain: string, until?: Date) {
  const read = async (path: string) =>
    there.has(`${chain}/${path}`) ? text(await readStream(site, keyOf(site, `${chain}/${path}`))) : undefined
  const paths = [...there.keys()].flatMap(path => (path.startsWith(`${chain}/`) ? path.slice(chain.length + 1) : []))
  const manifests = paths.filter(path => /^base\/\w+\.json$/.test(path)).toSorted()
  const texts = await Promise.all(manifests.map(read))
  // A base whose files are not there, as large as they were, is none.
  const bases = texts
    .flatMap(it => readJson(SHIPPED_BASE, it ?? '').value ?? [])
    .filter(({ files }) =>
      Object.entries(files).every(([file, { bytes }]) => there.get(`${chain}/base/${file}`) === bytes),
    )
  // The index there may be an hour old: the names tell the rest.
  const times = new Map(piecesIn((await read('wal/index.jsonl')) ?? '').map(({ name, at }) => [name, at]))
  const pieces = paths.flatMap(path => {
    const name = path.slice('wal/'.length)
    const piece = pieceOf(name)
    return piece ? [{ ...piece, at: times.get(name) ?? timeInName(name) ?? new Date(0).toISOString() }] : []
  })
  return factsOf(chain, bases, reachOf(bases, pieces, completeIn(await read('wal/complete.json')), until))
}
