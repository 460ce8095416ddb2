// What setup.ts does with the old site of the bash scripts: its settings, the cutover, and the way back.
import { refuseForFormer, writeSettings } from '../setup/make_settings.ts'
import { checkTakeOver, readTakeOver } from '../setup/old_site.ts'
import { cutOver, undoCutOver } from '../setup/cut_over.ts'
import { forgetCutOver, readCutOver } from '../setup/cut_over_note.ts'
import { awaitOld } from '../setup/old_containers.ts'
import { oldMachineName, type OldMachine, openOldMachine, sendBack } from '../setup/old_machine.ts'
import { removeCron } from '../setup/cron.ts'
import { backupFindings, makeNightly, readBackupFacts } from '../setup/nightly_backup.ts'
import { type CronLine, isReplaced, oldCronLines, putBackCron, takeOutOfCron, timeOfCron } from '../setup/old_cron.ts'
import { messageOf, usage } from '../system/errors.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { stopPrepared, prepareCutOver } from '../setup/prepare_cut_over.ts'
import { say } from '../system/progress.ts'
import { seconds, size } from '../system/format.ts'
import { agree, type Proposal } from './agree.ts'
import { takeOverText } from './setup_report.ts'

interface Options {
  yes: boolean
  json: boolean
}

/** Makes .env of the old one; gives whether a person agreed. */
export async function takeSettings(machine: OldMachine, { yes, json, dryRun }: Options & { dryRun: boolean }) {
  const plan = await readTakeOver(machine)
  if (!dryRun) await refuseForFormer(checkTakeOver(plan))
  const changes = plan.changes.map(({ name, kind, why }) => ({ name, kind, why }))
  const proposal: Proposal = {
    plan: { folder: plan.name, changes, dumps: plan.dumps },
    text: takeOverText(plan, process.stderr.columns),
    question: ['writing .env', 'write'],
  }
  if (!(await agree(proposal, { yes, json, 'dry-run': dryRun }))) return false
  await writeSettings(plan.text)
  say.done(`.env is made; look through it, then tsx scripts/setup.ts --from ${plan.name} --cutover`)
  return true
}

// A line of cron may well hold a password.
const withoutSecrets = (line: string) =>
  line
    .replaceAll(/(\w*(?:PASS|SECRET|TOKEN|KEY|PWD)\w*=)("[^"]*"|'[^']*'|\S+)/gi, '$1(not shown)')
    .replaceAll(/(:\/\/[^\s:@/]*:)[^\s@]+@/g, '$1(not shown)@')

const cronText = (lines: CronLine[]) =>
  lines.map(line => {
    const does = { backup: 'runs the old backup', start: 'starts the old site', other: 'names the old site' }[line.use]
    const becomes = isReplaced(line) ? 'made a comment' : 'yours to look at'
    return `cron      ${line.file} ${does}; ${becomes}: ${withoutSecrets(line.line.trim())}`
  })

/**
 * Has cron make the backups of this site and no longer those of the old one. What fails is a warning: the site is
 * there.
 */
const replaceCron = async (machine: OldMachine, settings: Settings, lines: CronLine[]) => {
  try {
    await sendBack(machine, takeOutOfCron(machine, lines))
  } catch (error) {
    say.warn(`cron still has lines of the old site: ${messageOf(error)}; remove them by hand`)
  }
  try {
    const [finding] = backupFindings(readBackupFacts(settings))
    const time = timeOfCron(lines)
    if (finding?.mend !== undefined)
      await makeNightly(settings, time === undefined ? finding : { ...finding, about: time })
  } catch (error) {
    say.warn(`there is no nightly backup yet: ${messageOf(error)}; tsx scripts/setup.ts installs it`)
  }
}

/** Gives the site to this stack, after a question. In one piece: what is shown, asked and done, in that order. */
export async function takeSite(machine: OldMachine, { yes, json }: Options) {
  const prepared = await prepareCutOver(machine)
  const { old, left, forwarding, files, dumped, trial } = prepared
  const expected = dumped + trial.seconds
  const cron = oldCronLines(
    machine,
    old.instances.map(({ name }) => name),
  )
  const named = old.instances.filter(({ running }) => running).map(({ name }) => name)
  const text = [
    `from      the Compose project ${old.project}, which is stopped and not removed: ${named.join(', ')}`,
    `files     ${files.count} (${size(files.bytes)}), copied already; what comes meanwhile is copied again`,
    `database  dumped in ${seconds(dumped * 1000)} while the old site served, restored, and compared: ` +
      `${trial.restored.compared}; this is done once more`,
    ...trial.restored.warnings.map(line => `          ${line}`),
    `apps      with that dump they showed ${trial.pages.join(', ')}, ${seconds(trial.seconds * 1000)} after the start`,
    `visitors  get a page that says that the site is back soon, for about ${seconds(expected * 1000)}: as long as ` +
      'that took',
    `back      tsx scripts/setup.ts --from ${machine.name} --back starts the old site again; what is written here ` +
      'meanwhile stays here',
    ...(forwarding
      ? [
          `ports     ${forwarding.ways.map(({ from }) => from.port).join(' and ')} of ${machine.host}: it hands ` +
            `on to this machine (${forwarding.address}) who still comes there`,
        ]
      : []),
    ...old.oneOffs.map(
      ({ name }) => `stopped   ${name} too, which docker-compose run has left running, and which is not started again`,
    ),
    ...(files.gone > 0
      ? [`removed   ${files.gone} files that were copied before are gone in the old minio, and will be here, too`]
      : []),
    ...(files.extra > 0
      ? [`beside    ${files.extra} files are in the new minio that were never in the old one, and stay`]
      : []),
    ...left.map(it => `left      ${it} of the old stack stays there: bring it by hand if it is still wanted`),
    ...cronText(cron),
  ].join('\n')
  try {
    await agree({ plan: {}, text, question: ['stopping the old site', 'cutover'] }, { yes })
  } catch (error) {
    await stopPrepared()
    throw error
  }
  const done = await cutOver(prepared)
  await replaceCron(machine, prepared.settings, cron)
  if (json) return done
  say.done(`this site has taken over, after ${seconds(done.seconds * 1000)} without service`)
  say.detail(`database: ${done.restored.compared}, each compared with the last dump`)
  say.detail(
    `files: ${done.files.count} (${size(done.files.bytes)}), ${done.files.copied} of them copied at the end, ` +
      `${done.files.gone} removed that the old site no longer had`,
  )
  for (const line of done.restored.warnings) say.warn(line.replace(/^warning: /, ''))
  if (forwarding)
    say.warn(
      `now lead the site's name (DNS) to this machine. ${machine.host} hands on who still comes to it; when ` +
        `nobody does: docker rm --force ${forwarding.name} there, and an empty FORWARDED_FROM in .env here`,
    )
  return done
}

/** Gives the site back to the old stack, after a question. */
export async function giveSiteBack(from: string, { yes }: Pick<Options, 'yes'>) {
  const { time, folder } = readCutOver()
  if (oldMachineName(from) !== folder)
    throw usage(
      `the site was taken over from ${folder}`,
      `nothing was changed; to give it back: --from ${folder} --back`,
    )
  const text = [
    `back      the old stack of ${folder}, as it was at ${time}`,
    'stopped   this stack; what was written here since then stays in its database and its files, and does not ' +
      'come back with the old one',
    'cron      makes the backups of the old site again, not those of this one',
  ].join('\n')
  const machine = await openOldMachine(folder)
  try {
    await agree({ plan: {}, text, question: ['stopping this site', 'back'] }, { yes })
    const old = await undoCutOver(machine)
    await sendBack(machine, putBackCron(machine))
    for (const job of ['backup', 'certificate', 'ship'] as const) removeCron(loadSettings().COMPOSE_PROJECT_NAME, job)
    await awaitOld(machine, old)
    forgetCutOver()
  } finally {
    await machine.dispose()
  }
  say.done('the old site runs again')
}
