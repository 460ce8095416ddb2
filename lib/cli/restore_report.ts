// Words about a restore, before it and after it.
// Long, since it has the words of each kind of restore, before and after it.
import { type Proposal, type Question, withHooks } from './agree.ts'
import type { RestorePlan } from '../restore/plan.ts'
import type { RestoreResult } from '../restore/plan.ts'
import type { UndoPlan } from '../restore/undo.ts'
import { changeLines, stopLines, total } from './row_lines.ts'
import { EXIT } from '../system/errors.ts'
import { sayLost } from './lost_report.ts'
import type { HookLines } from '../system/hooks.ts'
import { say } from '../system/progress.ts'
import { age, seconds, size, totalTime } from '../system/format.ts'
import type { RestoredFiles } from '../backup/objects/restore.ts'
import type { FilesPlan, FilesResult } from '../restore/restore_files.ts'

const number = (count: number) => count.toLocaleString('en-US')

const made = ({ made, server }: RestorePlan['dump']) => {
  const time = new Date(made)
  return `${made}${Number.isNaN(time.getTime()) ? '' : `, ${age(time)} ago`}, by PostgreSQL ${server}`
}

const SHOWN = 20

// Whoever made it wrote it, and nobody has looked at it since.
const strangeLines = ({ source, runs }: RestorePlan) => {
  if (!runs) return []
  const shown = runs.slice(0, SHOWN).map(it => `            ${it.length > 160 ? `${it.slice(0, 160)}…` : it}`)
  const more = runs.length > SHOWN ? [`            … and ${runs.length - SHOWN} more: --dry-run --json lists all`] : []
  return [
    `warning     ${source} is of no backup set of this server. A dump is a program of whoever made it, and runs ` +
      'with all rights in the database',
    'tried       in a throw-away server without a network: its rows came back',
    ...(runs.length > 0
      ? ['runs        what it holds that is run, now or when something is written:', ...shown, ...more]
      : ['runs        nothing that is run was found in it']),
  ]
}

const sourceLines = ({ source, origin, dump, moment }: RestorePlan) => {
  if (moment) return [`moment      ${source}, recovered in ${seconds(moment.seconds * 1000)}`, ...stopLines(moment)]
  return [
    `from        ${source}${origin ? ` (set ${origin})` : ''}`,
    `made        ${made(dump)}, of the database ${dump.database}`,
  ]
}

const restorePlanText = (plan: RestorePlan) => {
  const { host, database, former, now, after, restarts, ready } = plan
  return [
    ...sourceLines(plan),
    `into        the database ${database} on ${host}`,
    `rows now    ${now ? total(now) : 'there is no such database'}`,
    `rows after  ${total(after)}`,
    ...changeLines(plan),
    ...(ready === undefined ? [] : [`ready       ${ready} has been filled from it and compared: it is only renamed`]),
    former
      ? `kept        the database as it is now, under the name ${former}; backup_restore.ts --undo swaps it back`
      : 'kept        everything that is there',
    ...strangeLines(plan),
    ...(restarts.length > 0 ? [`restarted   ${restarts.join(', ')}`] : []),
  ].join('\n')
}

const undoText = ({ from, since, former }: UndoPlan) =>
  [
    `back to     ${from}, put aside ${age(since)} ago`,
    `kept        the database as it is now${former ? `, under the name ${former}` : ': there is none'}`,
  ].join('\n')

const filesText = ({ folder, made, count, missing, differing, bytes, extra }: FilesPlan) =>
  [
    `from        ${folder}`,
    `made        ${made}, ${age(new Date(made))} ago`,
    `in the set  ${number(count)} ${count === 1 ? 'file' : 'files'}`,
    `missing     ${number(missing)}: brought back`,
    `differing   ${number(differing)}: replaced by what the set has of them`,
    `to upload   ${size(bytes)}`,
    `kept        ${number(extra)} that came since; and the database, which is not touched`,
  ].join('\n')

const replacing = (database: string): Question => [`replacing ${database}`, database]

/** What a restore will do, and what is asked before. */
export function restoreProposal(plan: RestorePlan, hooks: HookLines): Proposal {
  const { database, replaces, runs } = plan
  const question: Question | undefined = replaces
    ? replacing(database)
    : runs && ['restoring a dump of no backup set', database]
  return { plan, text: withHooks(restorePlanText(plan), hooks), question }
}

/** What going back to the former database will do. */
export function undoProposal(plan: UndoPlan, hooks: HookLines): Proposal {
  return {
    plan,
    text: withHooks(undoText(plan), hooks),
    question: replacing(plan.database),
  }
}

/** What bringing back the files of a set will do. */
export function filesProposal(plan: FilesPlan, hooks: HookLines): Proposal {
  return {
    plan,
    text: withHooks(filesText(plan), hooks),
    question: plan.missing + plan.differing > 0 ? ['replacing uploaded files', plan.set] : undefined,
  }
}

const sayFiles = ({ count, uploaded, extra }: RestoredFiles) =>
  say.detail(`${count} files in the set, ${uploaded} of them brought back; ${extra} others stay`)

/** Says how a restore of the files alone ended. */
export function reportFiles({ set, seconds: spent, ...files }: FilesResult) {
  sayFiles(files)
  say.done(`the uploaded files are those of ${set}, and what came since, after ${totalTime(spent)}`)
}

/** Says how it ended; gives the exit code. */
export function reportRestore(result: RestoreResult) {
  const { database, former, lost, files, interruption, seconds: spent } = result
  if (files) sayFiles(files)
  say.done(
    `${database} is ${result.result === 'undone' ? 'what it was before' : 'restored'}, after ${totalTime(spent)}`,
  )
  if (interruption !== null)
    say.done(
      `time without service: ${seconds(interruption * 1000)} at most (the swap ${seconds(result.swap * 1000)}, ` +
        'the rest the restart of the apps)',
    )
  if (former !== null) say.detail(`the former database is ${former}; to go back: backup_restore.ts --undo`)
  if (lost.length === 0) return 0
  sayLost(lost)
  say.warn(
    `all rows are there, and the site is up, but ${lost.length} ` +
      `${lost.length === 1 ? 'object is' : 'objects are'} missing: correct ${lost.length === 1 ? 'it' : 'them'} by ` +
      'hand (scripts/psql.ts)',
  )
  return EXIT.incomplete
}
