// setup.ts --recover: what is found is shown and asked, then done, and told.
import { badConfig, EXIT, usage } from '../system/errors.ts'
import { age, counted, size } from '../system/format.ts'
import { readMoment, momentText } from '../system/site_time.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { setSwarm } from '../docker/swarm.ts'
import { hasSettings } from '../system/env_file.ts'
import { say } from '../system/progress.ts'
import { checkNoNode, isPlaced } from '../setup/recover_volume.ts'
import { readRecovery } from '../status/recovery_note.ts'
import { checkKey, findPlan } from '../setup/recover_look.ts'
import type { ShownPlan } from '../setup/recover_doubts.ts'
import { type RecoverPlan, transferOf } from '../setup/recover_plan.ts'
import { type RecoveredSite, recoverSite } from '../setup/recover_site.ts'
import { agree, type Proposal } from './agree.ts'
import { findingText } from './setup_report.ts'

interface Options {
  key: string | undefined
  'as-of': string | undefined
  at: string | undefined
  yes: boolean
  json: boolean
  'dry-run': boolean
}

const momentOf = (time: string) => `${momentText(new Date(time))}, ${age(new Date(time))} ago`

const placeText = ({ here }: { here: boolean }) => (here ? 'in BACKUP_DIR' : 'off the site')

const databaseText = ({ database, at }: RecoverPlan) =>
  database.kind === 'archive'
    ? `all that was committed until ${momentOf(at)}: the chain ${database.chain.chain} of the archive, ` +
      placeText(database.chain)
    : `as it was at ${momentOf(at)}: the set ${database.set.name}, ${placeText(database.set)}`

const filesText = ({ files }: RecoverPlan) =>
  files
    ? `${counted(files.objects?.count ?? 0, 'uploaded file')} (${size(files.objects?.bytes ?? 0)}) of ` +
      `${files.name}, ${placeText(files)}`
    : 'no uploaded files'

/** What is about to be done. */
export function recoverProposal(
  plan: ShownPlan,
  settings: Pick<Settings, 'POSTGRES_DB' | 'WHOST' | 'SWARM'>,
): Proposal {
  const several = settings.SWARM === undefined ? '' : '; it had several servers, and comes back on this one alone'
  const lines = [
    `site      ${settings.WHOST}, on a machine that has no database${several}`,
    `database  ${databaseText(plan)}`,
    `files     ${filesText(plan)}`,
    `transfer  ${size(transferOf(plan))}, as long as the line takes; then the images are built, and the site ` +
      'starts: some minutes',
    ...plan.lost.map(line => `lost      ${line}`),
    ...plan.doubts.map(line => `beware    ${line}`),
  ]
  return { plan, text: lines.join('\n'), question: ['recovering the site', settings.POSTGRES_DB] }
}

const nextText = (settings: Settings, key: string | undefined) =>
  [
    'the lost server must not come back as it was: both would ship to the same place. Stop it, or take its .env away',
    ...(settings.WHOST === 'localhost'
      ? []
      : [
          `lead the name ${settings.WHOST} to this machine (DNS)`,
          'your own certificate, or: tsx scripts/setup.ts --certificate <mail>',
        ]),
    ...(key === undefined ? [] : [`shred -u ${key}, if it lies on a disk of this machine`]),
    ...(settings.SWARM === undefined
      ? []
      : ['its other nodes join again: docs/several-servers.md, "The db node is lost"']),
    'look at the site, and at tsx scripts/status.ts',
  ].map((line, index) => `${index === 0 ? 'next      ' : '          '}${line}`)

const report = (done: RecoveredSite, settings: Settings, key: string | undefined) => {
  const rows = Object.values(done.tables).reduce((sum, it) => sum + it, 0)
  const spent = Object.values(done.seconds).reduce((sum, it) => sum + it, 0)
  const phases = Object.entries(done.seconds).map(([name, it]) => `${name} ${it} s`)
  const last = done.kept === null ? '' : `; the last transaction is of ${momentText(new Date(done.kept))}`
  say.done(`${settings.WHOST} is back, after ${spent.toFixed(0)} s (${phases.join(', ')})`)
  say.line(`data      as of ${momentOf(done.at)} (${done.name})${last}`)
  say.line(`rows      ${counted(rows, 'row')} in ${counted(Object.keys(done.tables).length, 'table')}`)
  say.line(`files     ${done.restored === null ? 'none' : `${done.restored}, of ${done.files}`}`)
  for (const line of done.lost) say.line(`lost      ${line}`)
  for (const { repository, was, now } of done.releases)
    say.line(
      `release   ${repository} is the head of its default branch, ${now}; when that set was made ${was} was live: ` +
        `tsx scripts/deploy_local.ts --to ${was} ${repository} goes back to it`,
    )
  if (done.wrong.length === 0) say.line('backups   go on: cron makes them again, and the archive has a new base')
  else
    say.bad(`not in order: ${[...new Set(done.wrong.map(({ step }) => step))].join(', ')}; then tsx scripts/setup.ts`)
  for (const line of nextText(settings, key)) say.line(line)
}

const momentIn = (text: string | undefined) => (text === undefined ? undefined : readMoment(text))

// Its Swarm had its registry and its first node on the machine that is lost: it is made anew, when the site is back.
const asOneServer = (settings: Settings) => {
  if (settings.SWARM === undefined) return settings
  setSwarm(undefined)
  return loadSettings()
}

// On a server that runs, --dry-run tells what would come back if it were lost: nobody needs the key for that.
const planFor = async (settings: Settings, { key, 'as-of': asOf, at, 'dry-run': dryRun }: Options) => {
  if (!dryRun && (await isPlaced(settings))) return undefined
  if (!dryRun) await checkNoNode(settings)
  const plan = await findPlan(settings, { asOf: momentIn(asOf), at: momentIn(at) })
  if (!dryRun || key !== undefined) await checkKey(plan, key)
  return plan
}

/**
 * Nobody looks at a plan that is agreed to beforehand. Throws a Failure (78) for one that may be the wrong one, unless
 * --at or --as-of has chosen it.
 */
export function checkUnseen(
  { mistakes }: Pick<ShownPlan, 'mistakes'>,
  { yes, at, 'as-of': asOf }: Pick<Options, 'yes' | 'at' | 'as-of'>,
) {
  if (!yes || mistakes.length === 0 || at !== undefined || asOf !== undefined) return
  throw badConfig(
    `what is newest may be the wrong one, and with --yes nobody looks at it:\n  ${mistakes.join('\n  ')}`,
    'nothing was touched; run it at a terminal without --yes, or say which: --at <time>, --as-of <time>',
  )
}

/** Brings the site back on this machine; gives the exit code, and undefined when it was only to be shown. */
export async function recoverHere(options: Options) {
  if (!hasSettings())
    throw badConfig(
      'there is no .env: it has the passwords of the database, and says where the copies are',
      'put that of the lost site here (chmod 600 .env), then run this again',
    )
  const settings = loadSettings()
  const plan = await planFor(settings, options)
  const note = readRecovery()
  if (!plan && !note) throw usage('there is nothing to recover')
  if (plan && !options['dry-run']) checkUnseen(plan, options)
  const proposal: Proposal = plan
    ? recoverProposal(plan, settings)
    : {
        plan: note ?? {},
        text: `goes on   the database came back of ${note?.name}; what is left is done`,
        question: undefined,
      }
  if (!(await agree(proposal, options))) return undefined
  const asOf = momentIn(options['as-of'])
  const own = asOneServer(settings)
  const found = (it: Parameters<typeof findingText>[1] & { step: string }) => say.line(findingText(it.step, it))
  const done = await recoverSite({ settings: own, plan, keyFile: options.key, asOf, found })
  report(done, settings, options.key)
  return { done, code: done.wrong[0]?.exitCode ?? (done.incomplete ? EXIT.incomplete : 0) }
}
