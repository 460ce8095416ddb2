// A plan is shown, and a person agrees to it, before anything is replaced.
import type { HookLines } from '../system/hooks.ts'
import type { Planned } from '../system/scope.ts'
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

/** The hooks in their order, below what stands between them. */
export function withHooks(text: string, { before, after }: HookLines) {
  return [text, ...before.map(it => `hook before ${it}`), ...after.map(it => `hook after  ${it}`)].join('\n')
}

interface Words {
  yes: boolean
  'dry-run'?: boolean
  json?: boolean
}

/**
 * By the options of a command: shows a proposal, and gives whether it is carried out. Throws a Failure when a person
 * says no, or cannot be asked (64).
 */
export async function agree(
  { plan, text, question }: Proposal,
  { yes, 'dry-run': dryRun = false, json = false }: Words,
) {
  if (dryRun) {
    print(json ? JSON.stringify(plan) : text)
    return false
  }
  say.line(text)
  if (question && !yes) await confirm(...question)
  return true
}

/**
 * Executes what is planned if the proposal of it is agreed to, and in any case disposes of it. Gives undefined when it
 * was only to be shown. Throws a Failure as `agree` does, or as the work does.
 */
export async function executeAgreed<Result>(planned: Planned<unknown, Result>, proposal: Proposal, words: Words) {
  try {
    return (await agree(proposal, words)) ? await planned.execute() : undefined
  } finally {
    await planned.dispose()
  }
}
