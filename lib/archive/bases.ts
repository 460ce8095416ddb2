// Base backups: what the recovery of a moment begins with. They lie in the service wal, in the clear:
//
//   /wal/segments/<24 hexadecimal digits>[.partial]     what the server has written, as pg_receivewal keeps it
//   /wal/base/<name>/base.tar.zst, backup_manifest      of pg_basebackup, without WAL
//   /wal/base/<name>/base.json                          what is needed to use it
//
// A chain is a full base with the incremental ones that follow it, and all WAL from its start on.
import * as v from 'valibot'
import { positionOf } from './positions.ts'
import { readJson, time, wholeNumber } from '../system/schema.ts'

export const BASE_NAME = /^\d{8}T\d{6}Z$/
const name = v.pipe(v.string(), v.regex(BASE_NAME, 'is not the name of a base'))
const lsn = v.pipe(v.string(), v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/, 'is not an LSN'))

// From 1 MB to 1 GB, as initdb makes them: what is counted in steps of it is to come to an end.
const SEGMENTS = new Set(Array.from({ length: 11 }, (_, power) => 2 ** (20 + power)))

export const BASE = v.object({
  /** of this form */
  version: v.literal(1),
  name,
  kind: v.picklist(['full', 'incremental']),
  /** the base that it adds to; missing of a full one */
  previous: v.exactOptional(name),
  /** the name of its full base */
  chain: name,
  timeline: wholeNumber,
  startLsn: lsn,
  stopLsn: lsn,
  startedAt: time,
  /** from here on it can be recovered to */
  endedAt: time,
  /** what was committed before that is in the WAL up to here; stopLsn when it is missing */
  endLsn: v.exactOptional(lsn),
  /** of base.tar.zst */
  bytes: wholeNumber,
  /** PostgreSQL's version */
  server: v.string(),
  systemIdentifier: v.string(),
  /** bytes of a segment of the WAL; PostgreSQL's own when it is missing */
  segment: v.exactOptional(
    v.pipe(
      wholeNumber,
      v.check(it => SEGMENTS.has(it), 'is no size of a segment'),
    ),
  ),
})

/** Bytes of a segment, unless a cluster was made otherwise. */
export const SEGMENT = 16 * 2 ** 20

export type Base = v.InferOutput<typeof BASE>

/** Where the chain before ends, which nothing is missing from then. */
export function endOf({ endLsn, stopLsn }: Pick<Base, 'endLsn' | 'stopLsn'>) {
  return positionOf(endLsn ?? stopLsn) ?? 0
}

/** When a base of that name was begun. ISO 8601, UTC */
export function startOf(name: string) {
  return name.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')
}

/** The bases in lines of JSON, oldest first; what is none is left out. */
export function basesIn(lines: string): Base[] {
  return lines
    .split('\n')
    .flatMap(line => readJson(BASE, line).value ?? [])
    .toSorted((a, b) => a.name.localeCompare(b.name))
}

/** A full base, and those that add to it, oldest first. */
export interface Chain {
  name: string
  full: Base
  bases: Base[]
}

/** The chains of bases, oldest first. A base whose full one is missing belongs to none. */
export function chainsOf(bases: Base[]): Chain[] {
  return bases
    .filter(({ kind }) => kind === 'full')
    .map(full => ({ name: full.name, full, bases: bases.filter(({ chain }) => chain === full.name) }))
}

const MANIFEST = {
  ranges: /"Timeline": (\d+), "Start-LSN": "([0-9A-F/]+)", "End-LSN": "([0-9A-F/]+)"/g,
  system: /"System-Identifier": (\d+)/,
}

/** What the beginning and the end of a backup_manifest tell; undefined when that is not one range of one timeline. */
export function readBackupManifest(text: string) {
  const [[, timeline, startLsn, stopLsn] = [], ...others] = [...text.matchAll(MANIFEST.ranges)]
  const systemIdentifier = MANIFEST.system.exec(text)?.[1]
  if (!timeline || !startLsn || !stopLsn || !systemIdentifier || others.length > 0) return undefined
  return { timeline: Number(timeline), startLsn, stopLsn, systemIdentifier }
}
