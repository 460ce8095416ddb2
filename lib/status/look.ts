// One look at the site: what status.ts shows, and what visitors get, in as few calls as it takes.
// Long, since each thing that is looked at has a line here, and what is wrong with it another.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { journalsOf, phaseText, readJournal, repositoryNames } from '../deploy/journal.ts'
import { containerIds, inspect } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { composeLabels, type Instance, instancesIn } from '../docker/containers.ts'
import { type Stack, stackOf } from '../docker/stack.ts'
import { isSwarm, listTasks } from '../docker/swarm.ts'
import { readConfig } from '../docker/stack_config.ts'
import { root } from '../system/checkout.ts'
import { age } from '../system/format.ts'
import { readOrEmpty } from '../system/files.ts'
import { isAlive } from '../system/processes.ts'
import { attempt } from '../system/run.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { hasOverrun, type Maintenance, readMaintenance } from '../nginx/maintenance.ts'
import { readDataWork } from '../system/work_lock.ts'
import { readArchiveStatus } from './archive_status.ts'
import { readBackups } from './backup_status.ts'
import { readCertificateState } from './certificate_status.ts'
import { serviceTrouble } from './stack_status.ts'
import type { Trouble } from './troubles.ts'
import { unfinishedRecovery } from './recovery_note.ts'
import { readUpgrade } from './upgrade_status.ts'
import { placeOf } from './site_address.ts'
import { isOfPage, visit } from './visitor.ts'

export interface Look {
  troubles: Trouble[]
  /** what is worth knowing, and no trouble */
  notes: string[]
  /** why what is found of the site and its services does not count now, in words: somebody works on it */
  excuse: string | undefined
  /** the public name led to the site from this machine */
  byName: boolean
}

/** What changes seldom, and is dear to read: kept from one look to the next. */
export interface Memory {
  settings: Settings
  stack: Stack
  /** of the files that the two were read from */
  digest: string
  backups?: { trouble: string | null; at: number }
}

const MINUTE = 60_000
/** A machine that has just started is given so long to bring the site up. */
const BOOT = 5 * MINUTE
/** So long a deploy, or a restore, may keep from being judged what it works on. */
const DEPLOY = 60 * MINUTE
const RESTORE = 30 * MINUTE
/** The backups are looked at as often: a trouble of theirs is hours old when it is one. */
const BACKUPS = 15 * MINUTE
/** milliseconds that the engine may take */
const PATIENCE = 15_000

const digestOf = () =>
  [join(root, '.env'), ...baseFiles()]
    .reduce((hash, file) => hash.update(readOrEmpty(file)).update('\0'), createHash('sha256'))
    .digest('hex')

/**
 * Reads the settings and the stack anew where one of their files has changed. Throws the Failures of a wrong one (78).
 */
export async function remember(former?: Memory): Promise<Memory> {
  const digest = digestOf()
  if (former?.digest === digest) return former
  return { settings: loadSettings(), stack: stackOf(await readConfig(baseFiles())), digest }
}

const ask = async (command: string[]) => {
  const { code, stdout } = await attempt(command, { signal: AbortSignal.timeout(PATIENCE) })
  return code === 0 ? stdout : undefined
}

// A container that goes between the two calls is looked at by the next look.
const instancesOf = async (project: string): Promise<Instance[] | undefined> => {
  const listed = await ask(containerIds(...composeLabels(project)))
  if (listed === undefined) return undefined
  const ids = listed.split('\n').filter(Boolean)
  const inspected = ids.length === 0 ? '[]' : await ask(inspect(ids))
  const tasks = isSwarm() ? await listTasks(project) : []
  return inspected === undefined ? undefined : [...instancesIn(inspected).filter(({ oneOff }) => !oneOff), ...tasks]
}

/** The apps last: what they are ill of is named before. */
export function causesFirst(services: string[], apps: { service: string }[]) {
  const isApp = (service: string) => Number(apps.some(it => it.service === service))
  return services.toSorted((a, b) => isApp(a) - isApp(b))
}

const lookAtServices = async ({ project, services, apps }: Stack): Promise<Trouble[]> => {
  const instances = await instancesOf(project)
  if (!instances) return [{ about: 'engine', text: 'the Docker engine does not answer' }]
  return causesFirst(services, apps).flatMap(service => {
    const replicas = apps.find(it => it.service === service)?.replicas ?? 1
    const trouble = serviceTrouble(
      instances.filter(it => it.service === service),
      replicas,
    )
    return trouble === null ? [] : [{ about: service, text: `${service} ${trouble}` }]
  })
}

const slow = (about: string, text: string | null | undefined): Trouble[] =>
  typeof text === 'string' ? [{ about, text, slow: true }] : []

const lookAtBackups = (memory: Memory): Trouble[] => {
  const { settings, backups: former } = memory
  const isRecent = former !== undefined && Date.now() - former.at < BACKUPS
  const backups = isRecent ? former : { trouble: readBackups(settings).trouble, at: Date.now() }
  memory.backups = backups
  return slow('backups', backups.trouble)
}

const lookAtCertificate = ({ settings }: Memory): Trouble[] => {
  const trouble = readCertificateState(settings)?.trouble
  return slow('certificate', trouble && `the certificate ${trouble}`)
}

const isRunning = ({ pid, since }: { pid: number; since: string }, longest: number) =>
  isAlive(pid) && Date.now() - Date.parse(since) < longest

/** What was killed, and waits to be put in order. */
const lookAtInterrupted = (): Trouble[] => {
  const [journal, work] = [readJournal(), readDataWork()]
  const deploy =
    journal &&
    `the deploy of ${repositoryNames(journalsOf(journal))} by ${journal.who} was interrupted in phase ` +
      `${phaseText(journal)}: run it again`
  const data =
    work &&
    `${work.who} was ${work.what}, and it was interrupted in step ${work.step}, ${age(new Date(work.since))} ago`
  return [
    ...(deploy && !isAlive(journal.pid) ? [{ about: 'deploy', text: deploy, slow: true }] : []),
    ...(data && !isAlive(work.pid) ? [{ about: 'data', text: data, slow: true }] : []),
  ]
}

/** Maintenance that was to be over by now is a trouble, and nobody's excuse. */
export function lookAtMaintenance(maintenance: Maintenance | undefined): Trouble[] {
  if (!maintenance || !hasOverrun(maintenance)) return []
  const text =
    `maintenance was to be over at ${maintenance.until}, and visitors still get its page: tsx ` +
    'scripts/maintenance.ts off'
  return [{ about: 'maintenance', text }]
}

const closedNote = (maintenance: Maintenance | undefined) => {
  if (!maintenance) return []
  const what = maintenance.url ? `are sent to ${maintenance.url}` : 'get the page of maintenance'
  return [`visitors ${what}: what they would get of the apps was not judged`]
}

const uptime = () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000

/** Why what is found of the site does not count now, in words; undefined when it does. */
export function excuseNow(maintenance: Maintenance | undefined) {
  if (maintenance && !hasOverrun(maintenance))
    return maintenance.url ? 'the site is closed for good' : 'maintenance is on'
  const work = readDataWork()
  if (work?.what === 'restoring' && isRunning(work, RESTORE)) return `${work.who} is restoring`
  return uptime() < BOOT ? 'the machine has just started' : undefined
}

// A deploy lets visitors lose nothing, so that what they get is judged all the same.
const servicesBeingDeployed = () => {
  const journal = readJournal()
  return journal && isRunning(journal, DEPLOY) ? journalsOf(journal).map(({ service }) => service) : []
}

/** Looks once. `wasByName`: the public name has led to the site from this machine before. */
export async function look(memory: Memory, wasByName: boolean): Promise<Look> {
  const { settings, stack } = memory
  const deployed = servicesBeingDeployed()
  const pages = stack.apps.flatMap(({ service, path, smoke }) => {
    const test = smoke.find(it => it.path === path)
    return test ? [{ service, test }] : []
  })
  const [services, visited] = await Promise.all([lookAtServices(stack), visit(placeOf(settings), pages, wasByName)])
  const maintenance = readMaintenance()
  // What visitors get of the apps then is what somebody wants them to get.
  const seen = maintenance ? visited.troubles.filter(({ about }) => !isOfPage(about)) : visited.troubles
  return {
    troubles: [
      ...lookAtMaintenance(maintenance),
      ...services.filter(({ about }) => !deployed.includes(about)),
      ...seen,
      ...lookAtBackups(memory),
      ...slow('archive', readArchiveStatus(settings)?.trouble),
      ...(visited.troubles.some(({ about }) => about === 'certificate') ? [] : lookAtCertificate(memory)),
      ...slow('upgrade', readUpgrade()?.trouble),
      ...slow('recovery', unfinishedRecovery()?.trouble),
      ...lookAtInterrupted(),
    ],
    notes: [
      ...closedNote(maintenance),
      ...visited.notes,
      ...(deployed.length > 0 ? [`being deployed just now: ${deployed.join(', ')}`] : []),
    ],
    excuse: excuseNow(maintenance),
    byName: visited.byName,
  }
}
