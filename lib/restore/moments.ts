// Which moments the archive of the WAL can bring back, and by which bases: arithmetic on what lies in it.
// Long, since where an archive begins, has a hole and ends has to be read together.
import { type Base } from '../archive/bases.ts'
import { positionOf } from '../archive/positions.ts'
import type { RecoveryTarget } from '../postgres/recovered.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { momentText, readMoment } from '../system/site_time.ts'

/** A file of the WAL. */
export interface Segment {
  name: string
  bytes: number
  /** when it was last written */
  at: Date
  /** its end was never received: the WAL goes on at another place */
  cut: boolean
}

export interface Archive {
  bases: Base[]
  segments: Segment[]
  /** it is of a server or a timeline that is no more: nothing will be added */
  ended?: boolean
}

/** What a person calls it. */
export function targetText(target: RecoveryTarget) {
  if (target.kind === 'time') return momentText(target.time)
  if (target.kind === 'lsn') return target.name ?? `the place ${target.lsn} of the WAL`
  return target.kind === 'point' ? `the restore point ${target.point}` : 'the end of the WAL'
}

/** The moment that somebody means by a time (readMoment), or by a place of the WAL ("2/1A0"). */
export function targetOf(text: string, now = new Date()): RecoveryTarget {
  if (/^[\dA-Fa-f]{1,8}\/[\dA-Fa-f]{1,8}$/.test(text)) return { kind: 'lsn', lsn: text.toUpperCase() }
  return { kind: 'time', time: readMoment(text, now) }
}

/** When that was, about; undefined when nobody knows. */
export function timeOf(target: RecoveryTarget) {
  if (target.kind === 'time') return target.time
  return target.kind === 'lsn' ? target.at : undefined
}

/** Moments that can be brought back; without an end up to the last one that the archive has. */
export interface Reach {
  from: Date
  to?: Date
}

// What is in the archive has been read with the form of one.
const at = (lsn: string) => positionOf(lsn) ?? 0

const numberOf = ({ name, bytes }: Segment) => {
  const perLog = 2 ** 32 / bytes
  return Number.parseInt(name.slice(8, 16), 16) * perLog + Number.parseInt(name.slice(16, 24), 16)
}

interface Link {
  base: Base
  /** all that it is put together from, the full one first */
  chain: Base[]
  reach: Reach
  /** the place at which the WAL has a hole, or ends */
  end: number
  /** it goes on behind that */
  hasHole: boolean
}

const chainOf = (base: Base, bases: Base[]): Base[] | undefined => {
  if (base.kind === 'full') return [base]
  const previous = bases.find(({ name }) => name === base.previous)
  const chain = previous && previous.name < base.name ? chainOf(previous, bases) : undefined
  return chain && [...chain, base]
}

/** The bases that can be used, oldest first, and how far the WAL goes on from each without a hole. */
const linksOf = ({ bases, segments, ended = false }: Archive): Link[] => {
  const bytes = segments.reduce((most, it) => Math.max(most, it.bytes), 1)
  const there = new Map(segments.filter(it => it.bytes === bytes).map(segment => [numberOf(segment), segment]))
  const last = [...there.keys()].reduce((most, number) => Math.max(most, number), -1)
  return bases
    .toSorted((a, b) => Date.parse(a.endedAt) - Date.parse(b.endedAt))
    .flatMap(base => {
      const chain = chainOf(base, bases)
      const needed = Math.floor((at(base.stopLsn) - 1) / bytes)
      const first = Math.floor(at(base.startLsn) / bytes)
      let end = first - 1
      while (there.has(end + 1) && !(end >= first && there.get(end)?.cut)) end += 1
      if (!chain || end < needed) return []
      const to = there.get(end)?.at
      const reach = { from: new Date(base.endedAt), ...((ended || end < last) && to ? { to } : {}) }
      return [{ base, chain, reach, end: (end + 1) * bytes, hasHole: end < last }]
    })
}

const joined = (reaches: Reach[]) =>
  reaches
    .toSorted((a, b) => a.from.getTime() - b.from.getTime())
    .reduce<Reach[]>((parts, { from, to }) => {
      const part = parts.at(-1)
      if (!part || (part.to && part.to < from)) return [...parts, { from, ...(to ? { to } : {}) }]
      if (!to) delete part.to
      else if (part.to && part.to < to) part.to = to
      return parts
    }, [])

/** The moments that there are, in parts where the WAL has holes. */
export function reachesOf(...archives: Archive[]) {
  return joined(archives.flatMap(linksOf).map(({ reach }) => reach))
}

/** "any moment from … to now" */
export function reachText(reaches: Reach[]) {
  if (reaches.length === 0) return 'there is no moment yet: the first base backup is to come (scripts/backup.ts)'
  const parts = reaches.map(({ from, to }) => `from ${momentText(from)} to ${to ? momentText(to) : 'now'}`)
  return `there is any moment ${parts.join(', and ')}`
}

/**
 * The first of several archives that has a moment, and the bases by which it is recovered; behind the end of one that
 * has ended that is all of it. Throws what the first one says when none has.
 */
export function chooseArchive<A extends Archive>(archives: A[], target: RecoveryTarget): { archive: A; bases: Base[] } {
  let first: unknown
  // Of what another server has written a place has the same name.
  const isPlace = target.kind === 'lsn' && !target.at
  for (const archive of isPlace ? archives.slice(0, 1) : archives)
    try {
      return { archive, bases: basesFor(archive, target, archives) }
    } catch (error) {
      first ??= error
    }
  throw first
}

/**
 * The bases by which a moment is recovered, the full one first. Throws a Failure with the moments that there are: 64
 * when it is before all of them, 65 when the WAL has a hole there.
 */
export function basesFor(archive: Archive, target: RecoveryTarget, all = [archive]): Base[] {
  const links = linksOf(archive)
  const hint = `nothing was touched; ${reachText(reachesOf(...all))}`
  const isBefore = ({ endedAt, stopLsn }: Base) => {
    const time = timeOf(target)
    // The places of another server's WAL have the same names: their times tell them apart.
    if (time && Date.parse(endedAt) > time.getTime()) return false
    return target.kind !== 'lsn' || at(stopLsn) <= at(target.lsn)
  }
  const link = links.findLast(({ base }) => isBefore(base))
  const words = targetText(target)
  if (!link) {
    if (archive.bases.some(isBefore))
      throw new Failure(`the archive has a hole before ${words}`, { exitCode: EXIT.data, hint })
    throw usage(`${words} is before the first moment that can be brought back`, hint)
  }
  const { reach, end, hasHole } = link
  const isBehind =
    (target.kind === 'time' && reach.to && reach.to < target.time) || (target.kind === 'lsn' && end < at(target.lsn))
  if (hasHole && reach.to && isBehind)
    throw new Failure(`the archive has a hole between ${momentText(reach.to)} and ${words}`, {
      exitCode: EXIT.data,
      hint,
    })
  return link.chain
}
