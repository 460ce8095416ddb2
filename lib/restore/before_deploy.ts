// The moment before a deploy: each has left a restore point in the history.
import { type Entry, readHistory } from '../deploy/history.ts'
import type { RestorePoint } from '../deploy/journal.ts'
import { tagOf } from '../deploy/release_text.ts'
import type { RecoveryTarget } from '../postgres/recovered.ts'
import { usage } from '../system/errors.ts'
import { momentText } from '../system/site_time.ts'

type Marked = Entry & { restorePoint: RestorePoint }

const isMarked = (entry: Entry): entry is Marked => entry.restorePoint !== undefined

/** "avril 84ca017ec0d7-87827f at 2026-11-25 14:32:10 (Paris, UTC+01:00)" */
const entryText = ({ repository, to, restorePoint }: Marked) =>
  `${repository} ${tagOf(to)} at ${momentText(new Date(restorePoint.time))}`

const known = (marked: Marked[]) => {
  const shown = marked.slice(-5).toReversed().map(entryText)
  return shown.length === 0 ? 'no deploy has left one yet' : `there are: ${shown.join('; ')}`
}

/** Of the deploys that left a restore point the last one; of a release that, or of its commit. Rollbacks are none. */
export function deployToUndo(history: Entry[], release: string | undefined) {
  const marked = history.filter(isMarked)
  const isMeant = ({ to, revision, rollback }: Marked) =>
    release === undefined
      ? rollback !== true
      : tagOf(to) === release || (release.length >= 4 && [tagOf(to), revision].some(it => it?.startsWith(release)))
  const meant = marked.filter(isMeant)
  const last = meant.at(-1)
  if (last) return { last, others: release === undefined ? [] : meant.slice(0, -1) }
  throw usage(
    release === undefined ? 'no deploy has left a restore point' : `no deploy of ${release} has left a restore point`,
    `nothing was touched; ${known(marked)}. A time does as well: --at`,
  )
}

/** A restore point as a target, by the name that a person gives it. */
export function targetAt({ lsn, time }: RestorePoint, name: string): RecoveryTarget {
  return { kind: 'lsn', lsn, name, at: new Date(time) }
}

/** The same as a target, and the other deploys of the release in words. Throws a Failure (64) when there is none. */
export function targetBefore(release: string | undefined): { target: RecoveryTarget; others: string[] } {
  const { last, others } = deployToUndo(readHistory(), release)
  return {
    target: targetAt(last.restorePoint, `before the deploy of ${entryText(last)}`),
    others: others.map(entry => `${entryText(entry)}: --at ${entry.restorePoint.lsn}`),
  }
}
