// A plan is shown, and a person agrees to it, before anything is replaced.
import { say } from '../system/progress.ts'
import { print } from './terminal.ts'
import { confirm } from './confirm.ts'

/** What is about to be done, and the word that is typed to agree. */
export type Question = [what: string, word: string]

export interface Proposal {
  /** as data, for --json */
  plan: object
  /** for people */
  text: string
  /** undefined when nothing is replaced */
  question: Question | undefined
}

interface Words {
  yes: boolean
  'dry-run'?: boolean
  json?: boolean
}

/**
 * By the options of a command: shows a proposal, and gives whether it is carried out. Throws a Failure when a person says
 * no, or cannot be asked (64).
 */
export function agreement({ yes, 'dry-run': dryRun = false, json = false }: Words) {
  return async ({ plan, text, question }: Proposal) => {
    if (dryRun) {
      print(json ? JSON.stringify(plan) : text)
      return false
    }
    say.line(text)
    if (question && !yes) await confirm(...question)
    return true
  }
}
