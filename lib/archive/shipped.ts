// What is shipped of the archive: a folder for each chain in BACKUP_DIR/archive.
//
//   <chain>/base/<name>.tar.zst       a base backup; <name>.manifest is PostgreSQL's manifest of it
//   <chain>/base/<name>.json          what is needed to use it: it comes last, and is never encrypted
//   <chain>/wal/<piece>.zst           a range of bytes of the WAL, by timeline, begin, end, and the time of its end
//   <chain>/wal/index.jsonl           size, sha256 and time of each piece
//   <chain>/wal/complete.json         up to which time nothing is missing; off the site that of the last hour
//
// With BACKUP_RECIPIENTS the bases, their manifests and the pieces are encrypted: their names end in .age then.
// Long, since which files count, and in which order they come to be, has to be read together.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { openBackupFolder } from '../backup/backup_folder.ts'
import { DIGEST } from '../backup/manifest.ts'
import { namesInFolder, plainSize, readPlainIfThere, replaceFile } from '../system/files.ts'
import { digest } from '../system/large_files.ts'
import { readJson, time, wholeNumber } from '../system/schema.ts'
import { BASE, BASE_NAME } from './bases.ts'
import { type Piece, pieceOf, rangeName, timeInName } from './positions.ts'

const FILE_NAME = v.pipe(v.string(), v.regex(/^\d{8}T\d{6}Z\.(tar\.zst|manifest)(\.age)?$/, 'is no file of a base'))

/** base.json as it is shipped. */
export const SHIPPED_BASE = v.object({
  ...BASE.entries,
  /** as they lie there */
  files: v.record(FILE_NAME, DIGEST),
  /** the public keys that they are encrypted to; missing when they are not */
  recipients: v.exactOptional(v.array(v.string())),
})

export type ShippedBase = v.InferOutput<typeof SHIPPED_BASE>

const LINE = v.object({
  ...DIGEST.entries,
  name: v.pipe(
    v.string(),
    v.check(it => pieceOf(it) !== undefined, 'is no piece'),
  ),
  /** all that was committed before is in the WAL up to its end */
  at: time,
  /** sha256 of the WAL in it, of the last one of a pass */
  wal: v.exactOptional(DIGEST.entries.sha256),
})

/** A piece that is shipped. */
export interface ShippedPiece extends Piece, v.InferOutput<typeof LINE> {
  /** sha256 of the same range as it was shipped before: off the site it may lie so still */
  former: string[]
}

const COMPLETE = v.object({ end: wholeNumber, at: time })

/** Up to where a chain is complete, and up to which time. */
export type Complete = v.InferOutput<typeof COMPLETE>

export function archiveIn(backups: string) {
  return join(backups, 'archive')
}

/** The names of the chains that are there, oldest first. */
export function chainNames(backups: string) {
  return namesInFolder(archiveIn(backups))
    .filter(name => BASE_NAME.test(name))
    .toSorted()
}

export function chainFolder(backups: string, chain: string) {
  return join(archiveIn(backups), chain)
}

/** The folder of its bases or of its WAL, which is made. Throws a Failure (73) when it cannot be written to. */
export function openFolderOf(backups: string, chain: string, kind: 'base' | 'wal') {
  const folder = join(chainFolder(backups, chain), kind)
  openBackupFolder(backups)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

/** The bases that are there whole, oldest first; what has the name of one and is none, with the reason. */
export function readShippedBases(backups: string, chain: string) {
  const folder = join(chainFolder(backups, chain), 'base')
  const read = namesInFolder(folder)
    .filter(name => /^\d{8}T\d{6}Z\.json$/.test(name))
    .toSorted()
    .map(name => ({ name, ...readJson(SHIPPED_BASE, readPlainIfThere(join(folder, name)) ?? '') }))
  return {
    bases: read.flatMap(({ value }) => value ?? []),
    broken: read.flatMap(({ name, damage }) => (damage === undefined ? [] : { name, damage })),
  }
}

const indexFile = (folder: string) => join(folder, 'index.jsonl')

const indexText = (folder: string) => (existsSync(indexFile(folder)) ? readFileSync(indexFile(folder), 'utf8') : '')

// By their names, in the order of their last lines; a line that is cut is left out.
const linesIn = (text: string) => {
  const pieces = new Map<string, ShippedPiece>()
  for (const line of text.split('\n')) {
    const { value } = readJson(LINE, line)
    const piece = value && pieceOf(value.name)
    if (!piece) continue
    // One that was shipped again has another line, which counts.
    const before = pieces.get(value.name)
    pieces.delete(value.name)
    pieces.set(value.name, { ...value, ...piece, former: before ? [...before.former, before.sha256] : [] })
  }
  return pieces
}

const readIndex = (folder: string) => linesIn(indexText(folder))

// A range that was shipped again may have another name: since BACKUP_RECIPIENTS were set or taken out, or by a former
// version. The last one counts that is there.
const chosen = (folder: string, pieces: ShippedPiece[]) =>
  pieces.length === 1
    ? pieces[0]
    : (pieces.findLast(({ name, bytes }) => plainSize(join(folder, name)) === bytes) ?? pieces.at(-1))

const eachRange = (
  all: Map<string, ShippedPiece>,
  choose: (pieces: ShippedPiece[]) => ShippedPiece | undefined,
): ShippedPiece[] => {
  const ranges = new Map<string, ShippedPiece[]>()
  for (const piece of all.values()) ranges.set(rangeName(piece), [...(ranges.get(rangeName(piece)) ?? []), piece])
  return [...ranges.values()]
    .flatMap(pieces => choose(pieces) ?? [])
    .toSorted((a, b) => a.start - b.start || a.end - b.end)
}

/** The names of all pieces that were ever in the index of a folder. */
export function namesInIndex(folder: string) {
  return new Set(readIndex(folder).keys())
}

/** The pieces that the index of a folder names, by their begin, each range once. */
export function readPieces(folder: string): ShippedPiece[] {
  return eachRange(readIndex(folder), pieces => chosen(folder, pieces))
}

/** The same of the text of an index, whose files are elsewhere. */
export function piecesIn(text: string): ShippedPiece[] {
  return eachRange(linesIn(text), pieces => pieces.at(-1))
}

/** Adds a piece to the index, for good. */
export function addToIndex(folder: string, { name, bytes, sha256, at, wal }: v.InferOutput<typeof LINE>) {
  appendFileSync(indexFile(folder), `${JSON.stringify({ name, bytes, sha256, at, wal })}\n`, {
    mode: 0o600,
    flush: true,
  })
}

// What lies in the clear beside its encrypted self, or the other way round, is not kept, once the one that counts is
// known to be right.
const removeOthers = async (folder: string, pieces: ShippedPiece[]) => {
  const counts = new Map(pieces.map(piece => [rangeName(piece), piece]))
  for (const name of namesInFolder(folder)) {
    const piece = pieceOf(name)
    const other = piece && counts.get(rangeName(piece))
    if (!other || other.name === name) continue
    if ((await digest(join(folder, other.name))).sha256 === other.sha256) rmSync(join(folder, name), { force: true })
  }
}

/**
 * The pieces of a folder. What was killed is put in order: what has its name and is not in the index yet is whole, and
 * gets there; what has none is removed. `since` is a time that each piece is younger than.
 */
export async function openIndex(folder: string, since: string): Promise<ShippedPiece[]> {
  // What a power failure has cut stays a line of its own.
  if (!(readPlainIfThere(indexFile(folder)) ?? '\n').endsWith('\n')) appendFileSync(indexFile(folder), '\n')
  const known = readIndex(folder)
  for (const name of namesInFolder(folder)) {
    if (name.endsWith('.partial')) rmSync(join(folder, name), { force: true })
    else if (pieceOf(name) && !known.has(name))
      addToIndex(folder, { name, ...(await digest(join(folder, name))), at: timeInName(name) ?? since })
  }
  const pieces = readPieces(folder)
  await removeOthers(folder, pieces)
  return pieces
}

/** Up to where a chain is complete; undefined while nothing of its WAL is shipped. */
export function readComplete(backups: string, chain: string): Complete | undefined {
  const text = readPlainIfThere(join(chainFolder(backups, chain), 'wal', 'complete.json'))
  return completeIn(text)
}

/** The same in the text of a complete.json, if there is one. */
export function completeIn(text: string | undefined): Complete | undefined {
  return text === undefined ? undefined : readJson(COMPLETE, text).value
}

export function writeComplete(folder: string, complete: Complete) {
  replaceFile(join(folder, 'complete.json'), `${JSON.stringify(complete)}\n`, 0o600)
}
