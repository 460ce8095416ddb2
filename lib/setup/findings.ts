// What a look at the server finds, as data: for a person, for a machine (--json) and for the tests.
import { EXIT, failureFrom } from '../system/errors.ts'

export interface Finding {
  /** unknown: it could not be looked at, and that is no fault */
  level: 'good' | 'warning' | 'bad' | 'unknown'
  text: string
  /** what a person can do */
  hint?: string | undefined
  /** what it is of, for who mends it: a repository, a path */
  about?: string
  /** what setup.ts can do itself, in the words that it shows then */
  mend?: string
  /** what setup.ts ends with when it stays so */
  exitCode?: number
}

type More = Pick<Finding, 'about' | 'mend' | 'exitCode'>

export function good(text: string): Finding {
  return { level: 'good', text }
}
export function unknown(text: string): Finding {
  return { level: 'unknown', text }
}
export function warning(text: string, hint?: string, more: More = {}): Finding {
  return {
    level: 'warning',
    text,
    hint,
    ...more,
  }
}
export function bad(text: string, hint?: string, more: More = {}): Finding {
  return {
    level: 'bad',
    text,
    hint,
    exitCode: EXIT.failed,
    ...more,
  }
}

/** A Failure, or what the operating system refuses, as a finding; anything else is a bug and thrown again. */
export function findingOf(error: unknown): Finding {
  const failure = failureFrom(error)
  if (!failure) throw error
  return bad(failure.message, failure.hint, { exitCode: failure.exitCode })
}

/** What troubles there are, or what is said when there are none. */
export function unless(text: string, troubles: Finding[]) {
  return troubles.length > 0 ? troubles : [good(text)]
}
