/** One exit code a cause (sysexits.h). */
export const EXIT = {
  failed: 1,
  usage: 64,
  /** a dump or a backup set that is not what it should be */
  data: 65,
  unreachable: 69,
  /** a folder cannot be written to */
  cannotWrite: 73,
  /** there is not enough space */
  noSpace: 74,
  locked: 75,
  /** the data are back, but not each index, view or check */
  incomplete: 76,
  config: 78,
} as const

interface FailureDetails {
  /** what to do next */
  hint?: string | undefined
  exitCode?: number
  cause?: unknown
}

/** Something foreseeable went wrong: a sentence on what and why, a hint on what to do, an exit code that tells the cause. */
export class Failure extends Error {
  readonly hint: string | undefined
  readonly exitCode: number

  constructor(message: string, details: FailureDetails = {}) {
    super(message, { cause: details.cause })
    this.name = 'Failure'
    this.hint = details.hint
    this.exitCode = details.exitCode ?? EXIT.failed
  }
}

/** A Failure when the command line makes no sense. */
export const usage = (message: string, hint = 'see --help') => new Failure(message, { hint, exitCode: EXIT.usage })

/** A Failure when a setting or a file of the stack makes no sense. */
export const badConfig = (message: string, hint?: string) => new Failure(message, { hint, exitCode: EXIT.config })

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
