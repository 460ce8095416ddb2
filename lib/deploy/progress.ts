// The phases of a rollout: shown as they pass, timed, and noted in the journal so that others can read how far it is.
import { messageOf } from '../system/errors.ts'
import { type Journal, writeJournal } from './journal.ts'
import { say } from '../system/progress.ts'
import { seconds } from '../system/format.ts'

export interface Progress {
  readonly journal: Journal
  /** Begins a phase, and ends the one before. */
  phase: (name: string, what?: string) => void
  /** Notes what the next run must know if this one is killed; throws a Failure when it cannot. */
  note: (change: Partial<Journal>) => void
  /** Ends the last phase, for better or worse. */
  end: (good: boolean) => void
}

export function startProgress(first: Journal): Progress {
  const journal = { ...first }
  let current: { name: string; since: number } | undefined

  const end = (good: boolean) => {
    if (!current) return
    const spent = performance.now() - current.since
    journal.phases[current.name] = Number(((journal.phases[current.name] ?? 0) + spent / 1000).toFixed(3))
    const text = `${current.name} ${good ? 'took' : 'failed after'} ${seconds(spent)}`
    if (good) say.done(text)
    else say.bad(text)
    current = undefined
  }
  const phase = (name: string, what = '') => {
    end(true)
    journal.phase = name
    current = { name, since: performance.now() }
    try {
      writeJournal(journal)
    } catch (error) {
      // The phase is for people to read; a disk that fills up now must not stop what is under way.
      say.warn(messageOf(error))
    }
    say.step(what ? `${name}: ${what}` : name)
  }
  const note = (change: Partial<Journal>) => {
    Object.assign(journal, change)
    writeJournal(journal)
  }
  return { journal, phase, note, end }
}
