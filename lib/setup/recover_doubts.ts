// What a person had better look at before a lost site comes back: the newest need not be the good one. Somebody may
// have begun an empty site with the same .env, two servers may have shipped to the same place, and a bucket can say
// anything.
import { counted, size } from '../system/format.ts'
import { momentText } from '../system/site_time.ts'
import type { ChainThere, Found, RecoverPlan, SetThere } from './recover_plan.ts'

/** As it is shown. */
export interface ShownPlan extends RecoverPlan {
  /** what to beware of, in words */
  doubts: string[]
  /** those of them that say that it may be the wrong one */
  mistakes: string[]
}

const text = (time: string) => momentText(new Date(time))

// As it is typed for --at.
const typed = (time: string) => new Date(time).toISOString()

/** In milliseconds: clocks differ. */
const PATIENCE = 300_000

/** Less than that of what there was before is suspicious. */
const PART = 1 / 2

const startOf = ({ database }: Pick<RecoverPlan, 'database'>) =>
  Date.parse(database.kind === 'archive' ? database.chain.from : database.set.made)

const ofTheFuture = (at: string, now: Date) =>
  Date.parse(at) > now.getTime() + PATIENCE
    ? [`it says of itself that it is of ${text(at)}, which is still to come: is the clock of this machine right?`]
    : []

const byName = (chains: ChainThere[]) => [...new Map(chains.map(it => [it.chain, it])).values()]

const besideIt = (chosen: ChainThere, others: ChainThere[]) =>
  others
    .filter(({ reach }) => Date.parse(reach.at) > Date.parse(chosen.from))
    .map(
      ({ chain, reach }) =>
        `the chain ${chain} goes on until ${text(reach.at)}, after ${chosen.chain} had begun: two servers have ` +
        'shipped to the same place',
    )

const smallerChain = (chosen: ChainThere, others: ChainThere[]) => {
  const [largest] = others.toSorted((a, b) => b.size - a.size)
  if (!largest || chosen.size >= largest.size * PART) return []
  return [
    `the base of ${chosen.chain} has ${size(chosen.size)}, that of ${largest.chain} ${size(largest.size)}: was an ` +
      `empty site begun with this .env? --at ${typed(largest.reach.at)} takes what was before`,
  ]
}

const rowsOf = ({ database }: SetThere) => Object.values(database.tables).reduce((sum, it) => sum + it, 0)

const smallerSet = (sets: SetThere[], what: string, countOf: (set: SetThere) => number) => {
  const [newest, ...others] = sets
  const [largest] = others.toSorted((a, b) => countOf(b) - countOf(a))
  if (!newest || !largest || countOf(newest) >= countOf(largest) * PART) return []
  return [
    `${newest.name} has ${counted(countOf(newest), what)}, and ${largest.name} has ${countOf(largest)}: was an ` +
      `empty site begun with this .env? --at ${typed(largest.made)} takes what was before`,
  ]
}

/** Why it may be the wrong one, in words; nothing when there is no reason to think so. */
export function mistakesIn(
  { database, at, chains, sets }: Pick<RecoverPlan, 'database' | 'at' | 'chains' | 'sets'>,
  now: Date,
) {
  const chosen = database.kind === 'archive' ? database.chain : undefined
  const others = byName(chains).filter(({ chain }) => chain !== chosen?.chain)
  return [
    ...ofTheFuture(at, now),
    ...(chosen ? [...besideIt(chosen, others), ...smallerChain(chosen, others)] : []),
    ...smallerSet(sets, 'row', rowsOf),
    ...smallerSet(
      sets.filter(({ objects }) => objects),
      'uploaded file',
      ({ objects }) => objects?.count ?? 0,
    ),
  ]
}

/** What is newer and brings nothing back, so that this is the best that there is, in words. */
export function newerButUseless({ useless = [] }: Pick<Found, 'useless'>, plan: Pick<RecoverPlan, 'database'>) {
  return useless
    .filter(({ begun }) => Date.parse(begun) > startOf(plan))
    .map(({ what }) => `${what}, though it is newer: --as-of brings it as it was, where the bucket keeps versions`)
}
