// What a site that was lost is brought back from: the newest of what there is, off the site or in BACKUP_DIR.
import type { ChainFacts } from '../archive/reach.ts'
import type { Manifest } from '../backup/manifest.ts'
import { usage } from '../system/errors.ts'
import { momentText } from '../system/site_time.ts'

/** Where something lies, and what is to be transferred of it. */
interface Place {
  /** in BACKUP_DIR */
  here: boolean
  /** to be transferred */
  bytes: number
}

export type ChainThere = ChainFacts & Place
export type SetThere = Pick<
  Manifest,
  'name' | 'made' | 'host' | 'recipients' | 'objects' | 'releases' | 'files' | 'database'
> &
  Place

/** What there is, in any order. */
export interface Found {
  chains: ChainThere[]
  sets: SetThere[]
  /** what has a name and brings nothing back, in words, and when it was begun */
  useless?: { what: string; begun: string }[]
}

export interface RecoverPlan {
  /** what the database comes back by: a chain of the archive, or a set */
  database: { kind: 'archive'; chain: ChainThere } | { kind: 'set'; set: SetThere }
  /** all that was committed before comes back; ISO 8601, UTC */
  at: string
  /** an earlier moment was asked for: nothing of what came later comes back */
  isPast: boolean
  /** the set that the uploaded files come back of */
  files: SetThere | undefined
  /** all that may be taken, newest first: what is to be taken may turn out to be damaged */
  chains: ChainThere[]
  sets: SetThere[]
  /** what does not come back, in words */
  lost: string[]
}

const text = (time: string) => momentText(new Date(time))

// Newest first; of two that are as new the one that is here already.
const inOrder = <T extends Place>(all: T[], timeOf: (it: T) => string) =>
  all.toSorted((a, b) => Date.parse(timeOf(b)) - Date.parse(timeOf(a)) || Number(b.here) - Number(a.here))

// What there was at a moment: a chain is taken if it reaches it.
const until = ({ chains, sets }: Found, time: Date): Found => ({
  chains: chains.flatMap(it => {
    if (Date.parse(it.from) > time.getTime() || Date.parse(it.reach.at) < time.getTime()) return []
    return { ...it, reach: { ...it.reach, at: time.toISOString(), broken: false } }
  }),
  sets: sets.filter(({ made }) => Date.parse(made) <= time.getTime()),
})

/** The newest of what there is, or was at a moment. Throws a Failure (64) when there is nothing. */
export function planRecovery(found: Found, time?: Date): RecoverPlan {
  const { chains, sets } = time ? until(found, time) : found
  const isPast = time !== undefined
  const all = inOrder(chains, ({ reach }) => reach.at)
  const [chain] = all
  const ordered = inOrder(sets, ({ made }) => made)
  const set = ordered[0]
  const files = ordered.find(({ objects }) => objects)
  const lostFiles = files
    ? `uploaded files that came after ${text(files.made)}: a set is made once a night`
    : 'the uploaded files: there is no set that has them'
  const later = time ? [`all that was committed at ${text(time.toISOString())} or later`] : []
  if (chain && !(set && Date.parse(set.made) > Date.parse(chain.reach.at))) {
    const { at, broken } = chain.reach
    const gap = `what was committed after ${text(at)}: the chain ${chain.chain} is not whole behind that`
    const lost = [...later, ...(broken ? [gap] : []), lostFiles]
    return { database: { kind: 'archive', chain }, at, isPast, files, chains: all, sets: ordered, lost }
  }
  if (!set)
    throw usage(
      `there is neither a backup set nor a chain of the archive${time ? ` for ${text(time.toISOString())}` : ''}`,
      'does .env name a bucket (OFFSITE_ENDPOINT and what goes with it), is the bucket the right one ' +
        '(OFFSITE_BUCKET, OFFSITE_PREFIX; COMPOSE_PROJECT_NAME is what names begin with there), and is the disk of ' +
        'BACKUP_DIR mounted? When somebody has removed what was there: --as-of',
    )
  const why = chain
    ? `the archive (${chain.chain}) ends at ${text(chain.reach.at)}, before that`
    : 'there is no archive that is whole'
  const gap = `what was committed after ${text(set.made)}, when the set was begun: ${why}`
  return {
    database: { kind: 'set', set },
    at: set.made,
    isPast,
    files,
    chains: all,
    sets: ordered,
    lost: [...later, gap, lostFiles],
  }
}

/** What is to be transferred, in bytes. */
export function transferOf({ database, files }: RecoverPlan) {
  const first = database.kind === 'archive' ? database.chain : database.set
  return first.bytes + (files && files !== first ? files.bytes : 0)
}
