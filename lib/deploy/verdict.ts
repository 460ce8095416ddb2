// Whether a new release is worse than the one before, by what visitors got of each.
import type { Tally, Ways } from '../nginx/traffic.ts'

/** On fewer requests nothing is decided. */
export const LEAST = 20
/** for the slowest hundredth, of which there must be some */
const LEAST_FOR_TIMES = 500
/** seconds: below that nobody is kept waiting */
const UNNOTICED = 0.5
/** of so many visitors one or two prove nothing: they may want to stop a deploy */
const MANY_CLIENTS = 10
const LEAST_CLIENTS = 3

export interface Limits {
  /** how many more requests of a hundred may fail */
  errors: number
  /** how many times as long the slowest hundredth may take */
  slower: number
}

const shareOf = (count: number, all: number) => (all === 0 ? 0 : count / all)

/** "12 of 240 requests failed (5.0 %)" */
export function shareText(what: string, count: number, all: number) {
  return `${count} of ${all} requests ${what} (${(shareOf(count, all) * 100).toFixed(1)} %)`
}

const worstText = ({ worst }: Ways) =>
  worst.map(({ path, status, count }) => `${path} ${status} (${count === 1 ? 'once' : `${count} times`})`).join(', ')

// Looked at twice a second, chance alone would show some bad moment: what is expected is left behind by far.
const isMore = (count: number, all: number, expected: number) => {
  const usual = all * expected
  return count > usual + 3 * Math.sqrt(usual) + 4
}

/**
 * Why a release is worse than the one before, in words; undefined when it is not, or when that cannot be told yet. What
 * the other answers meanwhile (`control`) may be as bad: then it is not the release.
 */
export function whyWorse(
  { before, control, fresh }: Record<'before' | 'control' | 'fresh', Tally>,
  { errors }: Limits,
) {
  if (fresh.requests < LEAST) return undefined
  for (const [key, what] of [
    ['failed', 'failed'],
    ['cut', 'were cut off'],
  ] as const) {
    const { count, clients } = fresh[key]
    const former = [before, control].filter(({ requests }) => requests >= LEAST)
    const [worst] = former.toSorted((a, b) => shareOf(b[key].count, b.requests) - shareOf(a[key].count, a.requests))
    // Without anything to compare with, the half must have failed.
    const expected = worst ? shareOf(worst[key].count, worst.requests) + errors / 100 : 0.5
    if (!isMore(count, fresh.requests, Math.min(expected, 1))) continue
    if (fresh.clients >= MANY_CLIENTS && clients < LEAST_CLIENTS) continue
    const than = worst ? `, of the release before ${shareText(what, worst[key].count, worst.requests)}` : ''
    return `${shareText(what, count, fresh.requests)}${than}; the worst: ${worstText(fresh[key])}`
  }
  return undefined
}

/** The same of how long requests take; of the new release those that came when it was warm. */
export function whySlower(before: Tally, warm: Tally, { slower }: Limits) {
  if (Math.min(warm.requests, before.requests) < LEAST_FOR_TIMES) return undefined
  if (warm.p99 <= before.p99 * slower || warm.p99 - before.p99 < UNNOTICED) return undefined
  return (
    `one request of a hundred takes ${warm.p99.toFixed(2)} s or more, of the release before it was ` +
    `${before.p99.toFixed(2)} s`
  )
}

/** Whether the release before failed so often that going back to it by itself would help nobody. */
export function wasIll({ requests, failed }: Tally) {
  return requests >= LEAST && shareOf(failed.count, requests) >= 0.1
}
