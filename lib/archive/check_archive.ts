// Whether what is in BACKUP_DIR of the archive is whole: a gap shows in the names, and a piece that is cut by its
// size and sha256. What is still beside the database is shipped again.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openEncryptor } from '../crypto/age.ts'
import type { Server } from '../postgres/server.ts'
import { namesInFolder, plainSize } from '../system/files.ts'
import { type Digest, digest } from '../system/large_files.ts'
import type { Settings } from '../system/settings.ts'
import type { Base } from './bases.ts'
import { lsnOf, type Piece, pieceOf, piecesBetween, positionOf } from './positions.ts'
import { hasPiece, listSegments } from './receiver.ts'
import { shipPiece, untilReceived } from './ship_wal.ts'
import { chainFolder, chainNames, readComplete, readPieces, readShippedBases } from './shipped.ts'

/** What is wrong with a chain. */
export interface Damage {
  chain: string
  text: string
  /** below the folder of the archive, when it is there and is not what it was, or is missing */
  file?: string
  /** the range of WAL that it is about */
  range?: Piece & { at: string }
  /** the base that it is about */
  base?: string
}

const troubleOf = async (file: string, { bytes, sha256, former = [] }: Digest & { former?: string[] }) => {
  const found = plainSize(file)
  if (found === undefined) return 'is missing'
  if (found !== bytes) return `is cut: it has ${found} bytes instead of ${bytes}`
  return [sha256, ...former].includes((await digest(file)).sha256)
    ? undefined
    : 'is damaged: it has not the content that it had'
}

const checkBases = async (backups: string, chain: string): Promise<Damage[]> => {
  const { bases, broken } = readShippedBases(backups, chain)
  const found: Damage[] = broken.map(({ name, damage }) => ({
    chain,
    text: `${name} of ${chain} is damaged (${damage})`,
  }))
  for (const { name, files, previous } of bases) {
    if (previous !== undefined && !bases.some(it => it.name === previous))
      found.push({ chain, text: `the base ${name} adds to ${previous}, which is missing` })
    for (const [file, expected] of Object.entries(files)) {
      const trouble = await troubleOf(join(chainFolder(backups, chain), 'base', file), expected)
      if (trouble !== undefined)
        found.push({
          chain,
          text: `${file} of the chain ${chain} ${trouble}`,
          base: name,
          file: `${chain}/base/${file}`,
        })
    }
  }
  return found
}

const gapText = (chain: string, from: string, until: string) =>
  `the chain ${chain} has a gap: after ${from} nothing can be brought back until ${until}`

/** The ranges that lack between the pieces, from where the chain begins on. */
export function gapsBetween(pieces: Piece[], begin: number): Piece[] {
  const gaps: Piece[] = []
  let end = begin
  for (const { timeline, start, end: to } of pieces.toSorted((a, b) => a.start - b.start)) {
    if (start > end) gaps.push({ timeline, start: end, end: start })
    end = Math.max(end, to)
  }
  return gaps
}

const checkWal = async (backups: string, chain: string, next: string | undefined): Promise<Damage[]> => {
  const folder = join(chainFolder(backups, chain), 'wal')
  const [full] = readShippedBases(backups, chain).bases
  if (!full) return [{ chain, text: `the chain ${chain} has no full base: its WAL is worth nothing` }]
  const index = readPieces(folder)
  const until = next === undefined ? 'the next base' : `the base of ${next}`
  const atBefore = (start: number) => index.findLast(it => it.end <= start)?.at ?? full.endedAt
  const found: Damage[] = []
  for (const piece of index) {
    const trouble = await troubleOf(join(folder, piece.name), piece)
    if (trouble === undefined) continue
    const text = `the piece ${piece.name} ${trouble}; ${gapText(chain, atBefore(piece.start), until)}`
    found.push({ chain, text, range: piece, file: `${chain}/wal/${piece.name}` })
  }
  for (const gap of gapsBetween(index, Math.min(index[0]?.start ?? Infinity, positionOf(full.startLsn) ?? 0))) {
    const range = `from ${lsnOf(gap.start)} to ${lsnOf(gap.end)}`
    const at = atBefore(gap.start)
    found.push({ chain, text: `the WAL ${range} is missing; ${gapText(chain, at, until)}`, range: { ...gap, at } })
  }
  const last = index.at(-1)?.end ?? 0
  const complete = readComplete(backups, chain)
  if (complete && complete.end > last && !hasPieceAt(folder, complete.end))
    found.push({ chain, text: `the WAL from ${lsnOf(last)} on is missing; ${gapText(chain, atBefore(last), until)}` })
  return found
}

// One that a pass is just adding to the index.
const hasPieceAt = (folder: string, end: number) => namesInFolder(folder).some(name => pieceOf(name)?.end === end)

/** Looks at all of the archive that is in BACKUP_DIR. */
export async function checkArchive({ BACKUP_DIR }: Pick<Settings, 'BACKUP_DIR'>): Promise<Damage[]> {
  const names = chainNames(BACKUP_DIR)
  const found: Damage[] = []
  for (const [index, chain] of names.entries())
    found.push(...(await checkBases(BACKUP_DIR, chain)), ...(await checkWal(BACKUP_DIR, chain, names[index + 1])))
  return found
}

/**
 * Ships again what is still beside the database; of a base what makes it count is removed, so that it is shipped again.
 * Gives whether there was anything to do.
 */
export async function mend(settings: Settings, receiver: Server, bases: Base[], found: Damage[]) {
  if (found.length === 0) return false
  const reached = await untilReceived(receiver)
  const segments = await listSegments(receiver)
  const shipping = { settings, receiver, reached, encryptor: await openEncryptor(settings) }
  for (const { chain, range, base } of found) {
    const folder = chainFolder(settings.BACKUP_DIR, chain)
    if (bases.some(({ name }) => name === base)) rmSync(join(folder, 'base', `${base}.json`), { force: true })
    if (!range) continue
    for (const piece of piecesBetween(range.timeline, range.start, range.end, reached.segment))
      if (hasPiece({ segments, reached }, piece)) await shipPiece(shipping, join(folder, 'wal'), piece, range.at)
  }
  return true
}
