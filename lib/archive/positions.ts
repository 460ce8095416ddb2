// Positions in the WAL (LSN), as numbers, and what is named by them: segments, and the pieces that are shipped.
import * as v from 'valibot'
import { timestamp } from '../system/format.ts'

const FORM = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i
const HALF = 2 ** 32

const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0')

/** "1/5000028" → its number; undefined for what is none. */
export function positionOf(lsn: string) {
  const [, high, low] = FORM.exec(lsn) ?? []
  return high === undefined || low === undefined ? undefined : parseInt(high, 16) * HALF + parseInt(low, 16)
}

export function lsnOf(position: number) {
  return `${hex(Math.floor(position / HALF), 1)}/${hex(position % HALF, 1)}`
}

/** Read as a number. */
export const LSN = v.pipe(
  v.string(),
  v.check(it => positionOf(it) !== undefined, 'is not an LSN'),
  v.transform(it => positionOf(it) ?? 0),
)

/** The name of the segment that a position is in. `segment` is the size of one in bytes. */
export function segmentName(timeline: number, position: number, segment: number) {
  const [number, each] = [Math.floor(position / segment), HALF / segment]
  return hex(timeline, 8) + hex(Math.floor(number / each), 8) + hex(number % each, 8)
}

/** Where the segment begins that a position is in. */
export function segmentStart(position: number, segment: number) {
  return position - (position % segment)
}

/** The names of the segments from one position to another one. */
export function segmentsBetween(timeline: number, from: number, to: number, segment: number) {
  const names: string[] = []
  for (let at = segmentStart(from, segment); at < to; at += segment) names.push(segmentName(timeline, at, segment))
  return names
}

/** A range of bytes of the WAL, which never crosses the end of a segment. */
export interface Piece {
  timeline: number
  start: number
  end: number
}

/** What is to be shipped from one position to another one. */
export function piecesBetween(timeline: number, from: number, to: number, segment: number): Piece[] {
  const pieces: Piece[] = []
  for (let start = from; start < to;) {
    const end = Math.min(to, segmentStart(start, segment) + segment)
    pieces.push({ timeline, start, end })
    start = end
  }
  return pieces
}

/** The times of pieces: only with the last one all is there that was committed before. */
export function pieceTimes(pieces: Piece[], before: string, whole: string | undefined) {
  return pieces.map((_, index) => (index < pieces.length - 1 ? before : (whole ?? before)))
}

/** Its range. */
export function rangeName({ timeline, start, end }: Piece) {
  return `${hex(timeline, 8)}-${hex(start, 16)}-${hex(end, 16)}`
}

/**
 * The range, and the time up to which all is in the WAL with its end: a list of names tells it, and nothing need be
 * written anew each minute where what is written stays.
 */
export function pieceName(piece: Piece, at: string) {
  return `${rangeName(piece)}-${timestamp(new Date(at))}`
}

// Former ones have no time.
const PIECE = /^([0-9A-F]{8})-([0-9A-F]{16})-([0-9A-F]{16})(?:-\d{8}T\d{6}Z)?\.zst(?:\.age)?$/

/** The time in a piece's name, ISO 8601 in UTC; undefined when there is none. */
export function timeInName(name: string) {
  const [, ...parts] = /-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.zst/.exec(name) ?? []
  const [year, month, day, hours, minutes, seconds] = parts
  const text = `${year}-${month}-${day}T${hours}:${minutes}:${seconds}Z`
  return Number.isNaN(Date.parse(text)) ? undefined : text
}

/** The piece of a file's name; undefined when it is none. */
export function pieceOf(name: string): Piece | undefined {
  const [timeline, start, end] = (PIECE.exec(name)?.slice(1) ?? []).map(it => parseInt(it, 16))
  return timeline === undefined || start === undefined || end === undefined ? undefined : { timeline, start, end }
}
