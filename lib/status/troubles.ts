// What is told of troubles, and when: not for one failed look, once when something goes wrong, again after hours, and
// once when it is well again.
import * as v from 'valibot'
import { age } from '../system/format.ts'
import { time, wholeNumber } from '../system/schema.ts'

/** Something that is wrong. */
export interface Trouble {
  /** what it is about, the same at each look: "postgres", "page of phoenix" */
  about: string
  text: string
  /** nobody need get up for it: a certificate that expires in a week */
  slow?: boolean
}

const KNOWN = v.object({
  text: v.string(),
  /** what was wrong at first: on its way to be well again it is another thing */
  begin: v.string(),
  slow: v.boolean(),
  since: time,
  /** how many looks found it */
  looks: wholeNumber,
  /** since when the looks have not found it any more, and how many that were */
  gone: v.exactOptional(v.object({ since: time, looks: wholeNumber })),
  /** when others were told last */
  told: v.exactOptional(time),
})

export const KNOWN_TROUBLES = v.record(v.string(), KNOWN)
/** What is known of troubles, by what they are about. */
export type Known = v.InferOutput<typeof KNOWN_TROUBLES>
type Entry = Known[string]

/** How many looks in a row it takes until something counts as wrong. */
const LOOKS = 2
/** How many until it counts as well again: what comes and goes is told once. */
const GOOD_LOOKS = 5
const HOUR = 3_600_000
/** hours until somebody is reminded of what is slow */
const SLOW_REMIND = 24

export interface Judgement {
  /** what is known after this look */
  known: Known
  /** what is to be told now, and what is known once it was delivered */
  news: { good: boolean; text: string; known: Known } | undefined
}

const after = (former: Entry | undefined, trouble: Trouble | undefined, now: Date): Entry => {
  if (!trouble) {
    const gone = { since: former!.gone?.since ?? now.toISOString(), looks: (former!.gone?.looks ?? 0) + 1 }
    return { ...former!, gone }
  }
  const { gone: _, ...rest } = former ?? { begin: trouble.text, since: now.toISOString(), looks: 0 }
  return { ...rest, text: trouble.text, slow: trouble.slow === true, looks: rest.looks + 1 }
}

const isGone = ({ gone }: Entry) => (gone?.looks ?? 0) >= GOOD_LOOKS
const isForgotten = ({ gone, looks }: Entry) => looks < LOOKS && (gone?.looks ?? 0) >= LOOKS
const isFound = ({ gone }: Entry) => gone === undefined
const isFresh = (it: Entry) => isFound(it) && it.told === undefined && it.looks >= LOOKS

const isDue = (it: Entry, now: Date, remind: number) =>
  isFound(it) &&
  it.told !== undefined &&
  now.getTime() - Date.parse(it.told) >= Math.max(remind, it.slow ? SLOW_REMIND : 0) * HOUR

const listText = (entries: Entry[], key: 'text' | 'begin' = 'text') => entries.map(it => it[key]).join('; ')
const oldestOf = (entries: Entry[]) => new Date(Math.min(...entries.map(({ since }) => Date.parse(since))))

const badText = (found: Entry[], gone: Entry[], now: Date) => {
  const [fresh, still] = [
    found.filter(({ told }) => told === undefined),
    found.filter(({ told }) => told !== undefined),
  ]
  const parts = [
    fresh.length > 0 && `${listText(fresh)} (for ${age(oldestOf(fresh), now)})`,
    still.length > 0 && `still: ${listText(still)} (for ${age(oldestOf(still), now)})`,
    gone.length > 0 && `well again: ${listText(gone, 'begin')}`,
  ]
  return `${parts.filter(Boolean).join('; ')}. On the server: tsx scripts/status.ts`
}

const goodText = (gone: Entry[], found: Entry[]) => {
  const end = new Date(Math.max(...gone.map(it => Date.parse(it.gone?.since ?? it.since))))
  const rest = found.length > 0 ? `. Still: ${listText(found)}` : ''
  return `well again, after ${age(oldestOf(gone), end)}: ${listText(gone, 'begin')}${rest}`
}

const without = (known: Known, entries: Entry[]): Known =>
  Object.fromEntries(Object.entries(known).filter(([, it]) => !entries.includes(it)))

/**
 * What follows from a look: what is known now, and what is to be told. Several troubles are one text; what has not been
 * told yet is told with the others, also when only this look found it. That something is well again is told when
 * nothing is wrong any more for which somebody would get up. `remind` is in hours.
 */
export function judge(former: Known, troubles: Trouble[], now: Date, remind: number): Judgement {
  const found = new Map(troubles.map(trouble => [trouble.about, trouble]))
  const looked = Object.fromEntries(
    [...new Set([...Object.keys(former), ...found.keys()])].map(about => [
      about,
      after(former[about], found.get(about), now),
    ]),
  )
  const known = without(looked, Object.values(looked).filter(isForgotten))
  const all = Object.values(known)
  const [present, gone] = [all.filter(isFound), all.filter(isGone)]
  if (present.some(it => isFresh(it) || isDue(it, now, remind))) {
    const told = now.toISOString()
    const rest = without(known, gone)
    const after = Object.fromEntries(
      Object.entries(rest).map(([about, it]) => [about, isFound(it) ? { ...it, told } : it]),
    )
    return { known, news: { good: false, text: badText(present, gone, now), known: after } }
  }
  if (gone.length === 0 || all.some(it => !it.slow && !isGone(it))) return { known, news: undefined }
  return { known, news: { good: true, text: goodText(gone, present), known: without(known, gone) } }
}
