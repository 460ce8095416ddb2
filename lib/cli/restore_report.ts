// Words about a restore, before it and after it.
import type { Proposal, Question } from './agree.ts'
import type { RestorePlan } from '../restore/plan.ts'
import type { RestoreResult, UndoPlan } from '../restore/restore.ts'
import { EXIT } from '../system/errors.ts'
import { sayLost } from '../postgres/bring_back.ts'
import { say } from '../system/progress.ts'
import { age, seconds, size, totalTime } from '../system/format.ts'
import type { Restored } from '../backup/objects/restore.ts'
import type { FilesPlan, FilesResult } from '../restore/restore_files.ts'

const number = (count: number) => count.toLocaleString('en-US')

const total = (tables: Record<string, number>) => {
  const counts = Object.values(tables)
  return `${number(counts.reduce((sum, rows) => sum + rows, 0))} rows in ${counts.length} tables`
}

const made = ({ made, server }: RestorePlan['dump']) => {
  const time = new Date(made)
  return `${made}${Number.isNaN(time.getTime()) ? '' : `, ${age(time)} ago`}, by PostgreSQL ${server}`
}

// The tables whose number of rows changes most.
const changes = ({ now, after }: RestorePlan) =>
  Object.keys({ ...now, ...after })
    .map(table => ({ table, before: now?.[table], after: after[table] }))
    .filter(({ before, after }) => before !== undefined && before !== after)
    .toSorted((a, b) => Math.abs((b.after ?? 0) - (b.before ?? 0)) - Math.abs((a.after ?? 0) - (a.before ?? 0)))

const changeLines = (plan: RestorePlan) => {
  const changed = changes(plan)
  const shown = changed
    .slice(0, 8)
    .map(
      ({ table, before = 0, after }) =>
        `            ${table}: ${number(before)} → ${after === undefined ? 'not there' : number(after)}`,
    )
  return changed.length > shown.length
    ? [...shown, `            … and ${changed.length - shown.length} tables more`]
    : shown
}

const SHOWN = 20

// Whoever made it wrote it, and nobody has looked at it since.
const strangeLines = ({ source, runs }: RestorePlan) => {
  if (!runs) return []
  const shown = runs.slice(0, SHOWN).map(it => `            ${it.length > 160 ? `${it.slice(0, 160)}…` : it}`)
  const more = runs.length > SHOWN ? [`            … and ${runs.length - SHOWN} more: --dry-run --json lists all`] : []
  return [
    `warning     ${source} is of no backup set of this server. A dump is a program of whoever made it, and runs with all rights in the database`,
    'tried       in a throw-away server without a network: its rows came back',
    ...(runs.length > 0
      ? ['runs        what it holds that is run, now or when something is written:', ...shown, ...more]
      : ['runs        nothing that is run was found in it']),
  ]
}

const restorePlanText = (plan: RestorePlan) => {
  const { source, origin, dump, host, database, former, now, after, restarts } = plan
  return [
    `from        ${source}${origin ? ` (set ${origin})` : ''}`,
    `made        ${made(dump)}, of the database ${dump.database}`,
    `into        the database ${database} on ${host}`,
    `rows now    ${now ? total(now) : 'there is no such database'}`,
    `rows after  ${total(after)}`,
    ...changeLines(plan),
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
export function restoreProposal(plan: RestorePlan): Proposal {
  const { database, replaces, runs } = plan
  const question: Question | undefined = replaces
    ? replacing(database)
    : runs && ['restoring a dump of no backup set', database]
  return { plan, text: restorePlanText(plan), question }
}

/** What going back to the former database will do. */
export function undoProposal(plan: UndoPlan): Proposal {
  return {
    plan,
    text: undoText(plan),
    question: replacing(plan.database),
  }
}

/** What bringing back the files of a set will do. */
export function filesProposal(plan: FilesPlan): Proposal {
  return {
    plan,
    text: filesText(plan),
    question: plan.missing + plan.differing > 0 ? ['replacing uploaded files', plan.set] : undefined,
  }
}

const sayFiles = ({ count, uploaded, extra }: Restored) =>
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
      `time without service: ${seconds(interruption * 1000)} at most (the swap ${seconds(result.swap * 1000)}, the rest the restart of the apps)`,
    )
  if (former !== null) say.detail(`the former database is ${former}; to go back: backup_restore.ts --undo`)
  if (lost.length === 0) return 0
  sayLost(lost)
  say.warn(
    `all rows are there, and the site is up, but ${lost.length} ${lost.length === 1 ? 'object is' : 'objects are'} missing: correct ${lost.length === 1 ? 'it' : 'them'} by hand (scripts/psql.ts)`,
  )
  return EXIT.incomplete
}
