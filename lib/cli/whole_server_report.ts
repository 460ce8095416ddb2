// Words about a restore of the whole server, before it and after it.
import type { UpgradeUndoPlan } from '../upgrade/undo.ts'
import type { WholeServerPlan, WholeServerResult } from '../upgrade/whole_server.ts'
import type { ClusterChange } from '../postgres/upgrade_note.ts'
import { EXIT } from '../system/errors.ts'
import { age, seconds, size, totalTime } from '../system/format.ts'
import type { HookLines } from '../system/hooks.ts'
import { say } from '../system/progress.ts'
import { type Proposal, withHooks } from './agree.ts'
import { changeLines, stopLines, total } from './row_lines.ts'

const UNDO = 'backup_restore.ts --whole-server --undo'

const nowLines = ({ now, after, from }: WholeServerPlan) =>
  now
    ? [
        `rows now    ${total(now)}`,
        `rows after  ${total(after)}`,
        ...changeLines({ now, after }),
        'lost to     the site: whatever is written from the moment on, and until the switch; it stays in the ' +
          'volume that is kept',
      ]
    : [
        `rows now    cannot be told: the server ${from.state}`,
        `rows after  ${total(after)}`,
        'lost        what was committed behind the last transaction that is kept; how much that is cannot be told',
      ]

const planText = (plan: WholeServerPlan, days: number, logins: string[]) => {
  const { source, moment, from, to, bytes, free, databases, roles, rows, returning, collations, restarts } = plan
  const [full, ...more] = moment.bases
  return [
    `moment      ${source}, recovered in ${seconds(moment.seconds * 1000)}`,
    ...stopLines(moment),
    `by          the base ${full}${more.length > 0 ? ` and ${more.length} that add to it` : ''}, and ` +
      `${size(moment.wal)} of the WAL`,
    `from        PostgreSQL ${from.version}, the volume ${from.volume}: its server ${from.state}`,
    `to          PostgreSQL ${to.version}, the volume ${to.volume}: ${size(bytes)}, proved page by page; ` +
      `${size(free)} are left beside it`,
    `databases   ${databases.join(', ')}: all of the server, ${rows.toLocaleString('en-US')} rows were read`,
    `roles       ${roles.join(', ')}; ${logins.join(' and ')} with the password of .env, the others with that of then`,
    ...(returning.length > 0 ? [`come back   the roles ${returning.join(', ')}, which are gone now`] : []),
    ...nowLines(plan),
    ...(collations === undefined ? [] : [`warning     ${collations}`]),
    `kept        the volume ${from.volume} as it is, for ${days} days; ${UNDO} goes back to it`,
    ...(restarts.length > 0 ? [`restarted   ${restarts.join(', ')}; requests wait meanwhile`] : []),
  ].join('\n')
}

/** What restoring the whole server will do, and what is asked before; `logins` are the roles that .env names. */
export function wholeServerProposal(plan: WholeServerPlan, days: number, logins: string[], hooks: HookLines): Proposal {
  const text = withHooks(planText(plan, days, logins), hooks)
  return { plan, text, question: ['replacing the whole server', plan.database] }
}

/** What going back to the former volume will do. */
export function wholeServerUndoProposal({ ...plan }: UpgradeUndoPlan, database: string, hooks: HookLines): Proposal {
  const { from, to, since } = plan
  const text = [
    `back to     the volume ${to.volume}, PostgreSQL ${to.version}, as it was put aside ${age(since)} ago`,
    `kept        the volume ${from.volume}`,
    'lost to     the site: whatever was written since then. It is in the volume that is kept; a second --undo ' +
      'brings that back',
  ].join('\n')
  return { plan, text: withHooks(text, hooks), question: ['going back to the data of that time', database] }
}

/** Says how it ended; gives the exit code. */
export function reportWholeServer(result: WholeServerResult) {
  const { database, from, kept, waited, base, trouble } = result
  const done = result.result === 'undone' ? `the volume ${from} serves again` : `the whole server is that of ${from}`
  say.done(`${done}, after ${totalTime(result.seconds)}; ${database} and all others with it`)
  say.done(`requests waited for ${seconds(waited * 1000)} at most`)
  if (base !== null) say.done(`the archive begins anew with the base ${base}; moments before stay`)
  say.detail(`the former data are in the volume ${kept}; to go back: ${UNDO}`)
  if (trouble === null) return 0
  say.warn(`the site is up, but the archive has no base of this server yet: ${trouble}`)
  say.detail('the next pass of the shipping makes it; at once: scripts/backup.ts')
  return EXIT.incomplete
}

/** Says that what a killed run has begun was brought to its end. */
export function reportFinished({ moment, next }: ClusterChange) {
  say.done(
    moment === undefined
      ? `the way back that was killed is complete: the volume ${next.volume} serves again`
      : `the restore that was killed is complete: the whole server is that of ${moment}`,
  )
  say.detail(
    moment === undefined
      ? `a redo of what it has undone: ${UNDO}`
      : `to go back: ${UNDO}; for another moment run it again`,
  )
}
