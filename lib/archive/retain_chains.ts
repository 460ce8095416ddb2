// Which chains are kept: a chain is one unit, for each moment of it needs its bases and all WAL before.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { rulesOf } from '../backup/retention.ts'
import type { Server } from '../postgres/server.ts'
import { namesInFolder, sync } from '../system/files.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { type Chain, chainsOf, endOf, startOf } from './bases.ts'
import { listBases } from './make_base.ts'
import { piecesBetween, positionOf, segmentName } from './positions.ts'
import { baseScript, hasPiece, listSegments, type Reached, type Segments } from './receiver.ts'
import { archiveIn, chainFolder, chainNames, readComplete, readPieces, readShippedBases } from './shipped.ts'

const DAY = 86_400_000
/** Beside the database, in the clear. */
const LOCAL = 2 * DAY

/** From where to where a chain goes; the newest has no end. ISO 8601, UTC */
export interface Span {
  name: string
  from: string
  to: string | undefined
}

/** The chains that the rules keep: the newest always. */
export function keptChains(
  spans: Span[],
  { days, maxDays }: { days: number; maxDays?: number | undefined },
  now: Date,
) {
  const since = (time: string) => now.getTime() - Date.parse(time)
  return spans.filter(({ from, to }) => {
    if (to === undefined) return true
    return since(to) < days * DAY && (maxDays === undefined || since(from) < maxDays * DAY)
  })
}

/** The spans of chains by their full bases, oldest first. */
export function spansOf(fulls: { name: string; startedAt: string; endedAt: string }[]): Span[] {
  return fulls.map(({ name, startedAt }, index) => ({ name, from: startedAt, to: fulls[index + 1]?.endedAt }))
}

/** Whether a chain that has ended is still wanted in BACKUP_DIR: what the rules have removed is not shipped again. */
export function isWanted(chains: Chain[], { name }: Chain, settings: Settings, now = new Date()) {
  const fulls = chains.map(({ full }) => full)
  return keptChains(spansOf(fulls), rulesOf(settings), now).some(span => span.name === name)
}

/** Those of BACKUP_DIR; one that has lost its full base ends where the next whole one begins, too. */
export function shippedSpans(backups: string): Span[] {
  const chains = chainNames(backups).map(name => ({
    name,
    full: readShippedBases(backups, name).bases.find(({ kind }) => kind === 'full'),
  }))
  return chains.map(({ name, full }, index) => ({
    name,
    from: full?.startedAt ?? startOf(name),
    to: chains.slice(index + 1).find(it => it.full)?.full?.endedAt,
  }))
}

const REMOVING = '.removing'

/** Removes the chains that the rules do not keep; gives their names. Only under the data lock. */
export function removeShippedChains(settings: Settings, now = new Date()) {
  const { BACKUP_DIR } = settings
  const folder = archiveIn(BACKUP_DIR)
  // What one that was killed has left.
  for (const name of namesInFolder(folder).filter(it => it.endsWith(REMOVING)))
    rmSync(join(folder, name), { recursive: true, force: true })
  const spans = shippedSpans(BACKUP_DIR)
  const kept = keptChains(spans, rulesOf(settings), now)
  const removed = spans.filter(span => !kept.includes(span)).map(({ name }) => name)
  for (const name of removed) {
    const chain = chainFolder(BACKUP_DIR, name)
    renameSync(chain, `${chain}${REMOVING}`)
    rmSync(`${chain}${REMOVING}`, { recursive: true, force: true })
  }
  if (removed.length > 0) sync(folder)
  return removed
}

interface Received {
  segments: Segments
  reached: Reached
}

// What is not in BACKUP_DIR yet is only there; but where the WAL has a gap there is no more to come.
const isShipped = ({ BACKUP_DIR }: Settings, { name, full }: Chain, next: Chain, there: Received) => {
  const folder = chainFolder(BACKUP_DIR, name)
  if (!existsSync(folder)) return true
  const shipped = Math.max(readComplete(BACKUP_DIR, name)?.end ?? 0, readPieces(join(folder, 'wal')).at(-1)?.end ?? 0)
  const from = Math.max(shipped, positionOf(full.startLsn) ?? 0)
  const [piece] = piecesBetween(full.timeline, from, endOf(next.full), there.reached.segment)
  return !piece || !hasPiece(there, piece)
}

/** The first segment that is needed: whatever a clock that was set back made of the order of the names. */
export function firstSegment(chains: Chain[], segment: number) {
  return chains
    .map(({ full }) => segmentName(full.timeline, positionOf(full.startLsn) ?? 0, segment))
    .toSorted()
    .at(0)
}

/**
 * Removes beside the database the chains that ended more than 48 hours ago, and the WAL that no other one needs;
 * gives the names of the chains. Only under the data lock.
 */
export async function removeLocalChains(settings: Settings, receiver: Server, reached: Reached, now = new Date()) {
  const chains = chainsOf(await listBases(receiver))
  const there = { reached, segments: await listSegments(receiver) }
  const isOver = (chain: Chain, next: Chain | undefined) =>
    next !== undefined &&
    now.getTime() - Date.parse(next.full.endedAt) > LOCAL &&
    isShipped(settings, chain, next, there)
  const kept = chains.slice(chains.findIndex((chain, index) => !isOver(chain, chains[index + 1])))
  const removed = chains.filter(chain => !kept.includes(chain))
  if (removed.length > 0) {
    const names = removed.flatMap(({ bases }) => bases.map(({ name }) => name).toReversed())
    await capture(baseScript(receiver, 'remove', ...names))
  }
  const first = firstSegment(kept, reached.segment)
  if (first !== undefined) await capture(baseScript(receiver, 'forget', first))
  return removed.map(({ name }) => name)
}
