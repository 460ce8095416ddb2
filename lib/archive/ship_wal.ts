// Ships the WAL that was received since the last pass into BACKUP_DIR: the used part of the current segment, too.
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Encryptor } from '../crypto/age.ts'
import { writeStream } from '../crypto/encrypted_files.ts'
import type { Server } from '../postgres/server.ts'
import { asDiskFull } from '../system/disk_space.ts'
import { partialBeside, sync } from '../system/files.ts'
import { outputOf } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { interruption, sleep } from '../system/signals.ts'
import { type Chain, endOf } from './bases.ts'
import { type Piece, pieceName, piecesBetween, pieceTimes, positionOf, segmentName, segmentStart } from './positions.ts'
import { baseScript, digestOf, hasPiece, listSegments, type Reached, readReached, type Segments } from './receiver.ts'
import { addToIndex, type Complete, openFolderOf, openIndex, readComplete, writeComplete } from './shipped.ts'

/** In milliseconds: what was written a moment ago is received a moment later, or something is wrong. */
const PATIENCE = 5000

/** How far the WAL is received; `at` is a time up to which it is received, when that is known. */
export interface Received extends Reached {
  complete: Complete | undefined
}

/** Asks how far the WAL is received, and waits a moment for what has just been written. */
export async function untilReceived(receiver: Server): Promise<Received> {
  const first = await readReached(receiver)
  const end = performance.now() + PATIENCE
  for (let reached = first; ; reached = await readReached(receiver)) {
    if (reached.received !== null && reached.received >= first.flushed)
      return { ...reached, complete: { end: first.flushed, at: first.at } }
    if (performance.now() > end) return { ...reached, complete: undefined }
    await sleep(100)
  }
}

/** How far each chain has been shipped, by its name: kept from one pass to the next. */
export type Positions = Map<string, number>

/** What a pass goes by. */
export interface WalShipping {
  settings: Settings
  receiver: Server
  encryptor: Encryptor | undefined
  reached: Received
  segments: Segments
  positions: Positions
}

/** Ships a piece, in place of what has its name. Gives its bytes. */
export async function shipPiece(
  shipping: Omit<WalShipping, 'positions' | 'segments'>,
  folder: string,
  piece: Piece,
  at: string,
  isLast = true,
) {
  const { receiver, encryptor, reached } = shipping
  const { timeline, start, end } = piece
  const name = `${pieceName(piece, at)}.zst${encryptor ? '.age' : ''}`
  const segment = segmentName(timeline, start, reached.segment)
  const offset = start - segmentStart(start, reached.segment)
  const command = baseScript(receiver, 'piece', segment, String(offset), String(end - start))
  const partial = partialBeside(join(folder, name))
  const { encrypted, ...plain } = await writeStream(
    outputOf(command, { what: `reading ${segment}` }),
    partial,
    encryptor,
    interruption,
  )
  renameSync(partial, join(folder, name))
  sync(folder)
  const known = isLast ? { wal: await digestOf(receiver, piece, reached.segment) } : {}
  addToIndex(folder, { name, ...(encrypted ?? plain), at, ...known })
  return (encrypted ?? plain).bytes
}

const positionFor = async ({ settings, reached, positions }: WalShipping, { name, full }: Chain, folder: string) => {
  const known = positions.get(name)
  if (known !== undefined) return known
  const last = (await openIndex(folder, full.endedAt)).at(-1)?.end
  return (
    last ??
    readComplete(settings.BACKUP_DIR, name)?.end ??
    segmentStart(positionOf(full.startLsn) ?? 0, reached.segment)
  )
}

/** What a pass has shipped. */
export interface Pass {
  pieces: number
  bytes: number
  /** the segment that a chain cannot go on with, since it is not there; undefined when there is none */
  missing: string | undefined
}

// A chain goes on until the first base of the next one can be recovered to.
const shipChain = async (shipping: WalShipping, chain: Chain, next: Chain | undefined): Promise<Pass> => {
  const { settings, reached, positions } = shipping
  const folder = openFolderOf(settings.BACKUP_DIR, chain.name, 'wal')
  const from = await positionFor(shipping, chain, folder)
  const limit = next ? endOf(next.full) : Infinity
  const to = Math.min(limit, reached.complete?.end ?? reached.received ?? 0)
  const pieces = piecesBetween(chain.full.timeline, from, to, reached.segment)
  // Before a gap nobody knows up to when it goes.
  const isWhole = pieces.every(piece => hasPiece(shipping, piece))
  const before = readComplete(settings.BACKUP_DIR, chain.name)?.at ?? chain.full.endedAt
  const at = next && to === limit ? next.full.endedAt : reached.complete?.at
  const times = pieceTimes(pieces, before, isWhole ? at : undefined)
  const done: Pass = { pieces: 0, bytes: 0, missing: undefined }
  for (const [index, piece] of pieces.entries()) {
    if (!hasPiece(shipping, piece)) {
      done.missing = segmentName(piece.timeline, piece.start, reached.segment)
      break
    }
    done.bytes += await shipPiece(shipping, folder, piece, times[index] ?? before, index === pieces.length - 1)
    done.pieces += 1
    positions.set(chain.name, piece.end)
  }
  positions.set(chain.name, positions.get(chain.name) ?? from)
  const reachedEnd = positions.get(chain.name) ?? from
  if (next && reachedEnd >= limit) writeComplete(folder, { end: reachedEnd, at: next.full.endedAt })
  else if (done.missing === undefined && reached.complete?.end === reachedEnd) writeComplete(folder, reached.complete)
  return done
}

/**
 * Ships what these chains lack, oldest first. Each chain goes on without a gap, or not at all. Throws a Failure: 73
 * and 74 for BACKUP_DIR and its space.
 */
export async function shipWal(shipping: Omit<WalShipping, 'segments'>, chains: Chain[]): Promise<Pass> {
  const segments = await listSegments(shipping.receiver)
  const total: Pass = { pieces: 0, bytes: 0, missing: undefined }
  try {
    for (const [index, chain] of chains.entries()) {
      const next = chains[index + 1]
      // What comes after another timeline has begun is not of this one.
      if (chain.full.timeline !== (next?.full.timeline ?? shipping.reached.timeline)) continue
      const { pieces, bytes, missing } = await shipChain({ ...shipping, segments }, chain, next)
      Object.assign(total, { pieces: total.pieces + pieces, bytes: total.bytes + bytes, missing })
    }
    return total
  } catch (error) {
    throw asDiskFull(error, shipping.settings.BACKUP_DIR)
  }
}
