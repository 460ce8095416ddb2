// Words about an upgrade of PostgreSQL, before it and after it.
import type { Outdated } from '../postgres/collations.ts'
import type { UpgradePlan } from '../upgrade/plan.ts'
import type { UpgradeResult } from '../upgrade/upgrade.ts'
import type { RenewResult } from '../upgrade/renew.ts'
import type { UpgradeUndoPlan } from '../upgrade/undo.ts'
import { EXIT } from '../system/errors.ts'
import { age, seconds, size, totalTime } from '../system/format.ts'
import { say } from '../system/progress.ts'
import type { HookLines } from '../system/hooks.ts'
import { type Proposal, withHooks } from './agree.ts'
import { sayLost } from './lost_report.ts'

const some = (label: string, list: string[]) =>
  list.length === 0
    ? []
    : [`${label}${list.slice(0, 8).join(', ')}${list.length > 8 ? ` and ${list.length - 8} more` : ''}`]

const wayLines = ({ way, obstacles, restart, copiedLast }: UpgradePlan) =>
  way === 'window'
    ? [
        `way         a window: until the switch the site is read, and whoever writes waits (${obstacles.join('; ')})`,
        '            visitors who must not wait for that: scripts/maintenance.ts on, before',
      ]
    : [
        'way         replication: the site is read and written to until the switch',
        ...(restart
          ? [
              'restart     of the old server, at once, so that it tells what is written to it: requests wait for ' +
                'some seconds',
            ]
          : []),
        ...some('last        copied once more at the switch, since they have no key: ', copiedLast),
      ]

/** What an upgrade will do, and what is asked before. */
export function upgradeProposal(plan: UpgradePlan, days: number, hooks: HookLines): Proposal {
  const { from, to, bytes, others, left, changed, restarts } = plan
  const lines = [
    `from        PostgreSQL ${from.version}, ${from.image}, ${size(bytes)} in the volume ${from.volume}`,
    `to          PostgreSQL ${to.version}, ${to.image}, in the volume ${to.volume}`,
    ...wayLines(plan),
    'switch      requests wait for some seconds, until the apps have started anew',
    ...some('also        the databases ', others),
    ...some('not         these stay in the old volume: ', left),
    ...some('by hand     what ALTER SYSTEM has set in the old server: ', changed),
    `kept        the volume ${from.volume}, for ${days} days; postgres_upgrade.ts --undo goes back to it`,
    ...some('restarted   ', restarts),
  ]
  return { plan, text: withHooks(lines.join('\n'), hooks), question: ['upgrading PostgreSQL', String(to.version)] }
}

/** What going back will do. */
export function upgradeUndoProposal(plan: UpgradeUndoPlan, hooks: HookLines): Proposal {
  const { from, to, since } = plan
  const text = [
    `back to     PostgreSQL ${to.version}, the volume ${to.volume}, as it was put aside ${age(since)} ago`,
    `kept        the volume ${from.volume}, with PostgreSQL ${from.version}`,
    'lost to     the site: whatever was written since then. It is in the volume that is kept; a second --undo ' +
      'brings that back',
  ].join('\n')
  return { plan, text: withHooks(text, hooks), question: ['going back to the data of that time', String(to.version)] }
}

/** What building indexes anew will do. */
export function renewProposal(plan: Outdated[]): Proposal {
  const lines = plan.flatMap(({ database, collations, indexes }) => [
    `database    ${database}: ${collations.join(', ')}`,
    ...some('indexes     ', indexes),
  ])
  const text = [
    'why         the library of this image sorts texts otherwise than the one that these indexes were built with',
    ...lines,
  ]
  return {
    plan,
    text: [...text, 'meanwhile   the site goes on: each is built beside the one that is used'].join('\n'),
    question: undefined,
  }
}

/** Says how an upgrade, or a way back, ended; gives the exit code. */
export function reportUpgrade({ result, from, to, kept, tables, rows, lost, waited, seconds: spent }: UpgradeResult) {
  say.done(`PostgreSQL ${to} serves the site${result === 'undone' ? ' again' : ''}, after ${totalTime(spent)}`)
  if (result === 'upgraded') say.done(`${rows.toLocaleString('en-US')} rows in ${tables} tables are the same in both`)
  const before =
    waited.restart > 0 ? ` (${seconds(waited.restart * 1000)} before, for the old server to start anew)` : ''
  say.done(`requests waited for ${seconds(waited.switch * 1000)} at most${before}`)
  say.detail(`PostgreSQL ${from} is in the volume ${kept}; to go back: postgres_upgrade.ts --undo`)
  if (result === 'upgraded') say.detail('make a backup now: scripts/backup.ts')
  if (lost.length === 0) return 0
  sayLost(lost)
  return EXIT.incomplete
}

/** Says that indexes were built anew; gives the exit code. */
export function reportRenewal({ databases, indexes, seconds: spent }: RenewResult) {
  say.done(`${indexes} indexes of ${databases.join(', ')} are sorted as this image sorts, after ${totalTime(spent)}`)
  return 0
}
