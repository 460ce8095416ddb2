// Looking each minute, and telling people what they must know: begun by cron, which begins it again when it has ended.
import { existsSync } from 'node:fs'
import * as v from 'valibot'
import { detailsOf, messageOf } from '../system/errors.ts'
import { tellPeople } from '../system/notify.ts'
import { say } from '../system/progress.ts'
import { time, wholeNumber } from '../system/schema.ts'
import { interruption, sleep } from '../system/signals.ts'
import { readState, writeState } from '../system/state_folder.ts'
import { look, type Look, type Memory, remember } from './look.ts'
import { judge, type Known, KNOWN_TROUBLES } from './troubles.ts'

const FILE = 'watch.json'
/** looks */
const LONGEST_PAUSE = 15
const STATE = v.object({
  /** the last look */
  looked: time,
  known: KNOWN_TROUBLES,
  /** the public name that has led to the site from this machine; empty when none has */
  byName: v.string(),
  /** why what was found did not count */
  excuse: v.exactOptional(v.string()),
  /** how often a message was not delivered, and for how many looks it is not tried again */
  undelivered: v.exactOptional(v.object({ times: wholeNumber, pause: wholeNumber })),
})

/** What the watch knew after its last look. */
export type Watched = v.InferOutput<typeof STATE>

/** What the watch knew last; undefined when it has never looked. */
export function readWatched() {
  return readState(FILE, STATE)
}

const write = (state: Watched) => writeState(FILE, state, 0o600)

// A webhook that answers too late has told it all the same: at the next look, and then at more and more distance.
/** For how many looks nothing is told after so many attempts that failed. */
export function pauseAfter(times: number) {
  return Math.min(2 ** (times - 1), LONGEST_PAUSE) - 1
}

/**
 * `judge` for a look that may have an excuse. That is for the site and its services: what is slow (backups, the
 * certificate, what was interrupted) has none. What is excused stays known as it was.
 */
export function judgeLook(
  former: Known,
  { troubles, excuse }: Pick<Look, 'troubles' | 'excuse'>,
  now: Date,
  remind: number,
) {
  const counts = ({ slow = false }: { slow?: boolean }) => excuse === undefined || slow
  const counted = troubles.filter(counts)
  const entries = Object.entries(former)
  const excused = Object.fromEntries(entries.filter(([, it]) => !counts(it)))
  const { known, news } = judge(Object.fromEntries(entries.filter(([, it]) => counts(it))), counted, now, remind)
  return {
    known: { ...excused, ...known },
    news: news && { ...news, known: { ...excused, ...news.known } },
    isExcused: counted.length < troubles.length,
  }
}

/** What a look found, and what was told of it. What was not delivered is told after a later look. */
const lookAndTell = async (memory: Memory, remind: number): Promise<Look> => {
  const former = readWatched()
  const { WHOST: site } = memory.settings
  const found = await look(memory, former?.byName === site)
  const now = new Date()
  const { byName, excuse } = found
  const { known, news, isExcused } = judgeLook(former?.known ?? {}, found, now, remind)
  const state = {
    looked: now.toISOString(),
    byName: byName ? site : '',
    ...(excuse !== undefined && isExcused && { excuse }),
  }
  const attempts = news && former?.undelivered
  const paused = attempts && attempts.pause > 0 && { ...attempts, pause: attempts.pause - 1 }
  write({ ...state, known, ...(paused && { undelivered: paused }) })
  if (!news || paused) return found
  const isTold = await tellPeople(memory.settings, news.good, news.text)
  const times = (attempts?.times ?? 0) + 1
  if (isTold) write({ ...state, known: news.known })
  else write({ ...state, known, undelivered: { times, pause: pauseAfter(times) } })
  return found
}

export interface Watching {
  /** seconds from one look to the next */
  every: number
  /** seconds after which it ends */
  long: number
  /** hours after which others are told again */
  remind: number
  /** it ends when this file is there no more */
  whileThere: string
}

/**
 * Looks again and again, and tells. A setting that somebody is just changing for the worse ends nothing: what was read
 * before counts. Throws the Failures of the first settings (78), and of a state that cannot be written.
 */
export async function watch({ every, long, remind, whileThere }: Watching) {
  const end = performance.now() + long * 1000
  const isTied = existsSync(whileThere)
  let memory = await remember()
  if (memory.settings.NOTICE_URL === undefined) say.warn('NOTICE_URL in .env is empty: nobody is told what is found')
  for (;;) {
    const next = performance.now() + every * 1000
    await lookAndTell(memory, remind)
    if (next > end || interruption.aborted) return
    await sleep(Math.max(next - performance.now(), 0))
    if (isTied && !existsSync(whileThere)) return
    try {
      memory = await remember(memory)
    } catch (error) {
      const { hint } = detailsOf(error)
      say.warn(`${messageOf(error)}; the settings from before go on counting${hint ? ` (${hint})` : ''}`)
    }
  }
}
