// What people who are not looking hear of a deploy (NOTICE_URL).
import { detailsOf, EXIT, Failure, messageOf } from '../system/errors.ts'
import { counted, seconds } from '../system/format.ts'
import { tellPeople } from '../system/notify.ts'
import type { Settings } from '../system/settings.ts'
import { readHistory } from './history.ts'
import { type Journal, repositoryNames } from './journal.ts'
import { tagOf } from './release_text.ts'

/** An app of a deploy. */
export interface Told {
  journal: Journal
  /** the subject of its commit; empty when it has none, or it is not known */
  subject: string
}

const SUBJECT = 70

const whatOf = ({ journal: { repository, to }, subject }: Told) =>
  `${repository} ` +
  `${tagOf(to ?? undefined)}${subject && ` "${subject.length > SUBJECT ? `${subject.slice(0, SUBJECT)}…` : subject}"`}`

const requestsText = (told: Told[]) => {
  const seen = told.flatMap(({ journal }) => journal.visits?.during ?? [])
  const sum = (key: 'requests' | 'failed') => seen.reduce((all, it) => all + it[key], 0)
  if (seen.length < told.length) return ''
  return sum('requests') === 0
    ? '; nobody asked for it meanwhile'
    : `; ${sum('failed')} of ${counted(sum('requests'), 'request')} failed`
}

const commandOf = (journals: Journal[]) =>
  journals.length > 1
    ? 'deploy_all.ts --together'
    : `deploy_local.ts ${journals[0]?.rollback ? '--rollback ' : ''}${journals[0]?.repository}`

const wayBack = (journals: Journal[]) => {
  if (journals.every(({ rollback }) => rollback))
    return `. Forward again: tsx scripts/deploy_local.ts ${journals[0]?.repository}`
  const former = journals.filter(({ from, to }) => from !== null && from !== to)
  if (former.length === 0) return ''
  return (
    '. The way back: ' +
    former.map(({ repository }) => `tsx scripts/deploy_local.ts --rollback ${repository}`).join('; ')
  )
}

/** "anne deployed avril 3f2a1b "Shorter forms" in 48.2 s; 0 of 912 requests failed. The way back: …" */
export function deployedText(told: Told[], spent: number) {
  const journals = told.map(({ journal }) => journal)
  const did = journals.every(({ rollback }) => rollback) ? 'went back to' : 'deployed'
  const release = `${told.map(whatOf).join(' and ')}${told.length > 1 ? ' as one release' : ''}`
  return `${journals[0]?.who} ${did} ${release} in ${seconds(spent)}${requestsText(told)}${wayBack(journals)}`
}

/** The same of one that failed: why, and what to do. */
export function failedText(told: Told[], error: unknown, spent: number) {
  const journals = told.map(({ journal }) => journal)
  const { hint = 'tsx scripts/status.ts says how the site is' } = detailsOf(error)
  const why = messageOf(error).split('\n')[0]
  return (
    `the deploy of ${repositoryNames(journals)} by ${journals[0]?.who} failed after ` +
    `${seconds(spent)}${requestsText(told)}: ${why}; ${hint} (tsx scripts/${commandOf(journals)})`
  )
}

// Who deploys by a timer would be told the same again and again.
const isKnown = ({ journal: { service } }: Told) => {
  const [former, last] = readHistory()
    .filter(entry => entry.service === service)
    .slice(-2)
  return former?.result === 'failed' && former.error === last?.error && former.phase === last?.phase
}

/** A release that was taken back once is not tried again by a timer, and not told of again. */
export class TakenBackBefore extends Failure {}

/**
 * Tells of a deploy that failed, unless the command line was wrong: who typed that sees it. A timer's (`ifChange`) is
 * told when it fails in another way than the one before.
 */
export async function tellFailure(settings: Settings, told: Told[], error: unknown, spent: number, ifChange: boolean) {
  if (error instanceof TakenBackBefore || detailsOf(error).exitCode === EXIT.usage) return
  if (ifChange && told.every(isKnown)) return
  await tellPeople(settings, false, failedText(told, error, spent))
}

/** Tells of a deploy that ended well, after so many milliseconds. */
export async function tellDeployed(settings: Settings, told: Told[], spent: number) {
  await tellPeople(settings, true, deployedText(told, spent))
}
