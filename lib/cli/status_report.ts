// The state of the stack and of the backups, in words.
import { journalsOf, phaseText, repositoryNames } from '../deploy/journal.ts'
import type { BackupState } from '../status/backup_status.ts'
import type { StackState } from '../status/stack_status.ts'
import type { Version } from '../status/version.ts'
import { age, minuteOf, size } from '../system/format.ts'
import { paint } from './terminal.ts'
import { isAlive } from '../system/processes.ts'

/** The same in words. */
export function stateText({ project, services, rollout, deploys }: StackState, { version, commit }: Version) {
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
        `deploy of ${repositoryNames(journalsOf(rollout))} by ${rollout.who} since ${rollout.since}, phase ${phaseText(rollout)}: ${running}`,
      ]
    : []
  const past = deploys.map(
    ({ time, who, repository, to, result, phase, error }) =>
      `  ${minuteOf(time)}  ${repository}  ${to?.split(':').at(-1) ?? ''}  ${result}${phase ? ` in ${phase}: ${error}` : ''}  (${who})`,
  )
  const scripts = paint.dim(`scripts ${version}${commit === null ? '' : `, commit ${commit}`}`)
  return [
    `stack ${project}`,
    scripts,
    ...lines,
    ...now,
    ...(past.length > 0 ? ['', 'last deploys (UTC)', ...past] : []),
  ].join('\n')
}

/** The same in words. */
export function backupText({ last, offsite, failed, drill, overdue, trouble }: BackupState) {
  const good = last ? paint.green('✓') : paint.dim('·')
  const mark = trouble ? paint.red('✗') : good
  const set = last ? `${last.name}, verified, ${age(new Date(last.made))} old, ${size(last.bytes)}` : 'none yet'
  const tried = drill
    ? `${age(new Date(drill.time))} ago, ${drill.set} ${drill.result === 'restored' ? `was restored in ${drill.seconds} s` : `FAILED: ${drill.error}`}`
    : 'none yet'
  const lines = [`${mark} last backup  ${[set, trouble].filter(Boolean).join(' · ')}`, `  last drill   ${tried}`]
  if (failed) lines.push(`  the last attempt failed ${age(new Date(failed.time))} ago: ${failed.error}`)
  if (offsite)
    lines.push(
      `  off the site ${offsite.copied ? 'it is there too' : ['it is not there', offsite.error].filter(Boolean).join(': ')}`,
    )
  if (overdue.length > 0)
    lines.push(`  older than BACKUP_MAX_DAYS: ${overdue.join(', ')} (the last ones are kept whatever their age)`)
  return lines.join('\n')
}
