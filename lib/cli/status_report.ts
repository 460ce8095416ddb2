// The state of the stack and of the backups, in words.
import { appsText } from '../backup/set_summary.ts'
import { journalsOf, phaseText, repositoryNames } from '../deploy/journal.ts'
import type { BackupStatus } from '../status/backup_status.ts'
import type { CertificateState } from '../status/certificate_status.ts'
import type { UpgradeStatus } from '../status/upgrade_status.ts'
import type { NodeState } from '../status/nodes_status.ts'
import type { StackState } from '../status/stack_status.ts'
import type { Version } from '../status/version.ts'
import { age, counted, minuteOf, size } from '../system/format.ts'
import { maintenanceText } from './maintenance_report.ts'
import { paint } from './terminal.ts'
import { isAlive } from '../system/processes.ts'

/** The same in words. */
export function stateText(
  { project, maintenance, services, rollout, deploys, nodes = [] }: StackState,
  { version, commit }: Version,
) {
  const width = Math.max(...services.map(({ service }) => service.length))
  const lines = services.flatMap(({ service, trouble, instances, release }) => {
    const mark = trouble ? paint.red('✗') : paint.green('✓')
    const facts = [
      trouble || 'healthy',
      instances.length > 1 ? `${instances.length} instances` : '',
      instances[0] && !trouble ? `up ${age(new Date(instances[0].since))}` : '',
      release?.text ?? '',
      instances.some(({ standIn }) => standIn)
        ? paint.yellow(`${release ? 'built on a stand-in' : 'stand-in'} image, not for a real site`)
        : '',
    ]
    return `${mark} ${service.padEnd(width)}  ${facts.filter(Boolean).join(' · ')}`
  })
  const running = rollout && isAlive(rollout.pid) ? 'running' : 'interrupted; the next deploy puts it in order'
  const now = rollout
    ? [
        '',
        `deploy of ${repositoryNames(journalsOf(rollout))} by ${rollout.who} since ${rollout.since}, phase ` +
          `${phaseText(rollout)}: ${running}`,
      ]
    : []
  const past = deploys.map(
    ({ time, who, repository, to, result, phase, error }) =>
      `  ${minuteOf(time)}  ${repository}  ${to?.split(':').at(-1) ?? ''}  ` +
      `${result}${phase ? ` in ${phase}: ${error}` : ''}  (${who})`,
  )
  const scripts = paint.dim(`scripts ${version}${commit === null ? '' : `, commit ${commit}`}`)
  const closed = maintenance ? [paint.yellow(maintenanceText(maintenance)), ''] : []
  return [
    ...closed,
    `stack ${project}`,
    scripts,
    ...lines,
    ...nodes.map(nodeText),
    ...now,
    ...(past.length > 0 ? ['', 'last deploys (UTC)', ...past] : []),
  ].join('\n')
}

const nodeText = ({ name, roles, instances, trouble, isOut, engineVersion }: NodeState) => {
  const running = Object.entries(instances).map(([service, count]) => `${count} of ${service}`)
  const facts = [
    trouble ?? (isOut ? paint.yellow('taken out') : 'up'),
    roles.join(', '),
    running.join(', ') || 'no instance',
    `Docker ${engineVersion}`,
  ]
  return `${trouble ? paint.red('✗') : paint.green('✓')} node ${name}  ${facts.filter(Boolean).join(' · ')}`
}

/** How long the certificate lasts, in words; undefined when there is none. */
export function certificateText(state: CertificateState | null) {
  if (!state) return undefined
  const { until, days, renewsItself, renewal, trouble } = state
  const facts = [
    `until ${until}, ${counted(days, 'day')} left`,
    renewsItself ? 'renews itself' : 'replaced by hand',
    trouble,
    renewal?.without ? paint.yellow(`not for ${renewal.without.join(', ')}, which the authority refuses`) : '',
    !trouble && renewal?.error ? paint.yellow(`the last renewal failed ${age(new Date(renewal.time))} ago`) : '',
  ]
  return `${trouble ? paint.red('✗') : paint.green('✓')} certificate  ${facts.filter(Boolean).join(' · ')}`
}

/** "✗ postgres  the upgrade to PostgreSQL 18 …"; undefined when none has begun and not ended. */
export function upgradeText(status: UpgradeStatus | undefined) {
  if (!status) return undefined
  const { from, to, underWay, trouble } = status
  return trouble === null
    ? `${paint.dim('·')} postgres  from ${from} to ${to}: ${underWay}`
    : `${paint.red('✗')} postgres  ${trouble}`
}

/** "✗ recovery  the recovery of this server …" */
export function recoveryText({ trouble }: { trouble: string }) {
  return `${paint.red('✗')} recovery  ${trouble}`
}

/** What becomes of a copy when somebody has this server, and with it the key to the bucket. */
const PROTECTED = {
  lock: ', locked: nobody can remove it for BACKUP_DAYS',
  versions: '; the bucket keeps versions of what is removed',
  none: '; whoever has this server can remove it there (docs/backups.md: object lock)',
}

/** The same in words. */
export function backupText({ last, offsite, failed, drill, overdue, trouble }: BackupStatus) {
  const good = last ? paint.green('✓') : paint.dim('·')
  const mark = trouble ? paint.red('✗') : good
  const set = last ? `${last.name}, verified, ${age(new Date(last.made))} old, ${size(last.bytes)}` : 'none yet'
  const tried = drill
    ? `${age(new Date(drill.time))} ago, ${drill.set} ` +
      (drill.result === 'restored'
        ? `was restored in ${drill.seconds} s${appsText(drill.apps ?? [])}`
        : `FAILED: ${drill.error}`)
    : 'none yet'
  const lines = [`${mark} last backup  ${[set, trouble].filter(Boolean).join(' · ')}`, `  last drill   ${tried}`]
  if (failed) lines.push(`  the last attempt failed ${age(new Date(failed.time))} ago: ${failed.error}`)
  if (offsite)
    lines.push(
      '  off the site ' +
        (offsite.copied
          ? `it is there too${PROTECTED[offsite.protection ?? 'none']}`
          : ['it is not there', offsite.error].filter(Boolean).join(': ')),
    )
  if (overdue.length > 0)
    lines.push(`  older than BACKUP_MAX_DAYS: ${overdue.join(', ')} (the last ones are kept whatever their age)`)
  return lines.join('\n')
}
