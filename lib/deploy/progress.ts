// The phases of a rollout: shown as they pass, timed, and noted in the journal so that others can read how far it is.
import { messageOf } from '../system/errors.ts'
import { type Journal, removeJournal, writeJournals } from './journal.ts'
import { say } from '../system/progress.ts'
import { seconds } from '../system/format.ts'

export interface Progress {
  readonly journal: Journal
  /** when each phase began, as Date.now() tells it */
  readonly marks: readonly { phase: string; at: number }[]
  /** Begins a phase, and ends the one before. */
  phase: (name: string, what?: string) => void
  /** Notes what the next run must know if this one is killed; throws a Failure when it cannot. */
  note: (change: Partial<Journal>) => void
  /** Ends the last phase, for better or worse. */
  end: (good: boolean) => void
  /** There is nothing to do for this app: it has no part in what the journal tells any more. */
  leave: () => void
}

/** Begins the progress of each app of a release. */
export function startProgress(journals: Journal[]): Progress[] {
  const taking = new Set<Journal>(journals.map(journal => ({ ...journal })))
  const write = () => (taking.size === 0 ? removeJournal() : writeJournals([...taking]))
  const label = (journal: Journal) => (journals.length > 1 ? `${journal.service}: ` : '')
  return [...taking].map(journal => {
    const progress = progressOf(journal, write, label(journal))
    const leave = () => {
      progress.end(true)
      taking.delete(journal)
      write()
    }
    return { ...progress, leave }
  })
}

const progressOf = (journal: Journal, write: () => void, label: string): Omit<Progress, 'leave'> => {
  const marks: { phase: string; at: number }[] = []
  let current: { name: string; since: number } | undefined

  const end = (good: boolean) => {
    if (!current) return
    const spent = performance.now() - current.since
    journal.phases[current.name] = Number(((journal.phases[current.name] ?? 0) + spent / 1000).toFixed(3))
    const text = `${label}${current.name} ${good ? 'took' : 'failed after'} ${seconds(spent)}`
    if (good) say.done(text)
    else say.bad(text)
    current = undefined
  }
  const phase = (name: string, what = '') => {
    end(true)
    journal.phase = name
    marks.push({ phase: name, at: Date.now() })
    current = { name, since: performance.now() }
    try {
      write()
    } catch (error) {
      // The phase is for people to read; a disk that fills up now must not stop what is under way.
      say.warn(messageOf(error))
    }
    say.step(label + (what ? `${name}: ${what}` : name))
  }
  const note = (change: Partial<Journal>) => {
    Object.assign(journal, change)
    write()
  }
  return { journal, marks, phase, note, end }
}
