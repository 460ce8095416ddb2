// An older moment, or one of a server that is lost: what its recovery needs is brought from BACKUP_DIR, in the clear,
// into a folder of the layout that lies beside a database. The folder is this machine's own: containers only read it.
// Long, since what is chosen of a chain and how it is brought have to be read together.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkFits, readKey } from '../crypto/age.ts'
import { holdContainer } from '../postgres/held_container.ts'
import { audit } from '../system/audit.ts'
import { root } from '../system/checkout.ts'
import { freeSpace, noSpace } from '../system/disk_space.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { namesInFolder } from '../system/files.ts'
import { size } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { SEGMENT } from './bases.ts'
import { gapsBetween } from './check_archive.ts'
import { lsnOf, positionOf, segmentStart } from './positions.ts'
import { chainFolder, readPieces, readShippedBases, type ShippedBase, type ShippedPiece } from './shipped.ts'
import { makeStagingFolder, stageBase, stageWal } from './stage_files.ts'
import { chainFor } from './windows.ts'

const FORM = '.staged-'
const PLACE = join(root, 'db')

/** A folder with base/ and segments/, removed when it is disposed of. */
export interface StagedChain extends Disposable {
  folder: string
  /** the names of its bases, the full one first */
  bases: string[]
  /** the major version of the server that it is of */
  version: number
  /** bytes of a segment of the WAL */
  segment: number
}

interface Wanted {
  settings: Settings
  /** the image of postgres */
  image: string
  /** the private key to an encrypted chain */
  keyFile: string | undefined
}

/** What of a chain is brought. */
export interface Chosen {
  chain: string
  /** each adds to the one before, the full one first */
  bases: ShippedBase[]
  /** without a gap, from the last base on */
  pieces: ShippedPiece[]
}

/** Whether a key is needed: the setting may have changed between a base and the WAL that follows it. */
export function isEncrypted({ recipients }: Pick<ShippedBase, 'recipients'>, pieces: Pick<ShippedPiece, 'name'>[]) {
  return recipients !== undefined || pieces.some(({ name }) => name.endsWith('.age'))
}

const keyFor = async (chain: string, recipients: string[] | undefined, file: string | undefined) => {
  if (file === undefined)
    throw usage(`the chain ${chain} is encrypted`, 'name the file with the private key: --key FILE')
  const key = await readKey(file)
  if (recipients) checkFits(key, recipients, `the chain ${chain}`)
  audit('decrypting the archive', { chain })
  return key
}

const startOfWal = ({ startLsn, segment = SEGMENT }: ShippedBase) => segmentStart(positionOf(startLsn) ?? 0, segment)

const piecesFrom = (backups: string, chain: string, from: number) =>
  readPieces(join(chainFolder(backups, chain), 'wal')).filter(({ end }) => end > from)

const withoutGap = (chain: string, wanted: ShippedPiece[], from: number) => {
  const [gap] = gapsBetween(wanted, from)
  if (wanted.length > 0 && !gap) return wanted
  throw new Failure(`the chain ${chain} has a gap: the WAL from ${lsnOf(gap?.start ?? from)} on is missing`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; an earlier moment may be whole: scripts/backup.ts --list',
  })
}

/** The bases up to a time, each of which adds to the one before: behind one that is missing the WAL does instead. */
export function linkedBases<T extends Pick<ShippedBase, 'name' | 'previous' | 'endedAt'>>(bases: T[], time: Date): T[] {
  const before = bases.filter(({ endedAt }) => Date.parse(endedAt) <= time.getTime())
  const broken = before.findIndex(({ previous }, index) => previous !== before[index - 1]?.name)
  return broken === -1 ? before : before.slice(0, broken)
}

const checkRoom = (bases: ShippedBase[], pieces: ShippedPiece[]) => {
  // In the clear it lies there beside what it was packed in.
  const wanted =
    bases.reduce((sum, { bytes }) => sum + bytes, 0) +
    pieces.reduce((sum, { start, end, bytes }) => sum + end - start + bytes, 0)
  if (freeSpace(PLACE) < wanted)
    throw noSpace(`${PLACE} has ${size(freeSpace(PLACE))} left, and what the moment needs is ${size(wanted)}`)
}

// Up to one piece behind the moment: that the WAL goes on shows that nothing before is missing.
const piecesUntil = (pieces: ShippedPiece[], time: Date) => {
  const last = pieces.findIndex(({ at }) => Date.parse(at) >= time.getTime())
  return last === -1 ? pieces : pieces.slice(0, last + 2)
}

/** What a moment needs. Throws a Failure with the moments that there are: 64 when it is none of them, 65 in a gap. */
export function chosenFor(settings: Pick<Settings, 'BACKUP_DIR'>, time: Date): Chosen {
  const { BACKUP_DIR: backups } = settings
  const chain = chainFor(settings, time)
  const bases = linkedBases(readShippedBases(backups, chain).bases, time)
  const from = startOfWal(bases.at(-1)!)
  const pieces = piecesUntil(piecesFrom(backups, chain, from), time)
  return { chain, bases, pieces: withoutGap(chain, pieces, from) }
}

/**
 * What all of a chain needs, or a moment of it, from a base up to a place of the WAL: what lies behind that may be
 * damaged. Throws a Failure (65) when there is a gap.
 */
export function chosenUpTo(
  { BACKUP_DIR: backups }: Pick<Settings, 'BACKUP_DIR'>,
  chain: string,
  to: UpTo,
  time?: Date,
): Chosen {
  const all = readShippedBases(backups, chain).bases
  const bases = all.slice(0, all.findIndex(({ name }) => name === to.base) + 1)
  const newest = bases.at(-1)
  if (!newest) throw new Failure(`the base ${to.base} of ${chain} is not there any more`, { exitCode: EXIT.data })
  const from = startOfWal(newest)
  const pieces = piecesFrom(backups, chain, from).filter(({ start }) => start < to.end)
  return { chain, bases, pieces: withoutGap(chain, time ? piecesUntil(pieces, time) : pieces, from) }
}

/** The newest base that is used, and where the WAL that is used ends. */
interface UpTo {
  base: string
  end: number
}

const fill = async (
  { settings, image, keyFile }: Wanted,
  { chain, bases, pieces }: Chosen,
  folder: string,
  scope: Scope,
) => {
  const { BACKUP_DIR: backups, COMPOSE_PROJECT_NAME: project } = settings
  const newest = bases.at(-1)!
  const segment = newest.segment ?? SEGMENT
  const key = isEncrypted(newest, pieces) ? await keyFor(chain, newest.recipients, keyFile) : undefined
  checkRoom(bases, pieces)
  say.step(`stage: the chain ${chain} from ${backups}, ${bases.length} bases and ${pieces.length} pieces of the WAL`)
  for (const base of bases) await stageBase(backups, base, key, folder)
  const mounts = [{ from: folder, to: '/wal' }]
  const container = scope.use(await holdContainer(project, { image, user: settings.POSTGRES_USER, mounts }))
  await stageWal({ backups, chain, key, folder, container, segment }, pieces)
  return { bases: bases.map(({ name }) => name), version: Number.parseInt(newest.server), segment }
}

/**
 * Brings what a recovery needs from BACKUP_DIR into a folder of its own. Only under the data lock. Throws a Failure: 64
 * without a key that is needed, 65 when something is damaged, 74 when it does not fit.
 */
export async function stageChain(wanted: Wanted, chosen: Chosen): Promise<StagedChain> {
  // What one that was killed has left.
  for (const name of namesInFolder(PLACE).filter(it => it.startsWith(FORM)))
    rmSync(join(PLACE, name), { recursive: true, force: true })
  mkdirSync(PLACE, { recursive: true, mode: 0o700 })
  const own = mkdtempSync(join(PLACE, FORM))
  const dispose = () => rmSync(own, { recursive: true, force: true })
  const scope = new Scope()
  try {
    const folder = makeStagingFolder(own, 'wal')
    return { ...(await fill(wanted, chosen, folder, scope)), folder, dispose }
  } catch (error) {
    dispose()
    throw error
  } finally {
    await scope.dispose()
  }
}
