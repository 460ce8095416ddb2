// All steps from an empty machine to a site that answers, in their order.
// Long, since it is the list of them.
import { statSync } from 'node:fs'
import { keyFindings, makeKeys } from './app_keys.ts'
import { archiveFindings, endArchive, readArchiveFacts } from './archive_steps.ts'
import { backupFindings, makeNightly, offsiteFindings, readBackupFacts } from './nightly_backup.ts'
import { certificateFindings } from './certificates.ts'
import { certificateSteps, issueSteps } from './certificate_steps.ts'
import { dumpFindings } from './check_dump.ts'
import { stackFindings } from './check_stack.ts'
import { inspectImages } from '../docker/commands.ts'
import { lookAtNodes } from './check_nodes.ts'
import { baseFiles, composeFileTrouble, linkReleases } from '../docker/compose_files.ts'
import { loadSettings } from '../system/settings.ts'
import { readDataWork } from '../system/work_lock.ts'
import { EXIT } from '../system/errors.ts'
import { bad, type Finding, good, unknown, unless, warning } from './findings.ts'
import { type Instance, listInstances } from '../docker/containers.ts'
import { journalsOf, phaseText, readJournal, repositoryNames } from '../deploy/journal.ts'
import { nginxAmong } from '../nginx/container.ts'
import { pageTrouble } from '../nginx/prove.ts'
import { ipv6Findings, readIpv6 } from './ipv6.ts'
import { ENV_FILE, hasSettings } from '../system/env_file.ts'
import { makeSettings } from './make_settings.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { composeFiles, pinFiles, readPins } from '../docker/release_pins.ts'
import { openFolder, readableFindings, readFolders } from './readable.ts'
import { cloneFor, repositoriesOf, repositoryFindings } from './repositories.ts'
import { readUpgrade } from '../status/upgrade_status.ts'
import { attempt } from '../system/run.ts'
import { age } from '../system/format.ts'
import { type KnownSettings, serverSteps, settingsOf } from './server_steps.ts'
import type { Step } from './setup.ts'
import { stackOf } from '../docker/stack.ts'
import { readConfig, type StackConfig } from '../docker/stack_config.ts'
import { startStack, troublesOf } from './start_stack.ts'
import { takenUpFindings } from './taken_up.ts'
import { isAlive } from '../system/processes.ts'

/** What the steps have found out so far. */
interface Known extends KnownSettings {
  /** docker-compose.yml alone */
  config: StackConfig
  /** with the override */
  merged: StackConfig
}

const NOTHING: StackConfig = { name: '', services: {} }

const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

const lookAtSettings = (known: Known, host: string | undefined): Finding[] => {
  const mend = `making .env from .env.example${host === undefined ? '' : ` for ${host}`}, with secrets of its own`
  if (!hasSettings()) return [bad(`there is no ${ENV_FILE}`, undefined, { mend, exitCode: EXIT.config })]
  const settings = loadSettings()
  known.settings = settings
  const { WHOST: site } = settings
  const hint = 'change WHOST there, and what goes with it (NGINX_BIND, CLIENT_TO_PHOENIX_URL)'
  if (host !== undefined && host !== site)
    return [bad(`.env is there already, and its WHOST is ${site}, not ${host}`, hint, { exitCode: EXIT.config })]
  return [good(site === 'localhost' ? 'a site for this machine alone (WHOST=localhost)' : `a public site, ${site}`)]
}

const lookAtIpv6 = async (known: Known): Promise<Finding[]> => {
  const settings = settingsOf(known)
  const { WHOST: site, NGINX_PORT } = settings
  return site === 'localhost'
    ? [unknown('not looked at (WHOST=localhost)')]
    : ipv6Findings(settings, await readIpv6(site, NGINX_PORT))
}

const lookAtCompose = async (known: Known) => {
  known.config = await readConfig(baseFiles())
  known.merged = pinFiles().length > 0 ? await readConfig(composeFiles()) : known.config
  const trouble = composeFileTrouble()
  if (trouble !== undefined) return [warning(trouble, undefined, { mend: 'correcting COMPOSE_FILE in .env' })]
  return [good(`docker-compose.yml has ${Object.keys(known.config.services).length} services`)]
}

const linkUnderLock = async () => {
  const lock = await takeDeployLock(true)
  try {
    linkReleases()
  } finally {
    await lock.dispose()
  }
}

const interruptedDeploy = () => {
  const damages: Finding[] = []
  const journal = readJournal(damage =>
    damages.push(
      warning(
        damage,
        'an interrupted deploy may have left more instances than usual (scripts/status.ts): deploy each app once more',
      ),
    ),
  )
  if (!journal || isAlive(journal.pid)) return damages
  return [
    warning(
      `the deploy of ${repositoryNames(journalsOf(journal))} by ${journal.who} was interrupted in phase ` +
        phaseText(journal),
      'the next deploy puts it in order',
    ),
  ]
}

const interruptedDataWork = () => {
  const damages: Finding[] = []
  const work = readDataWork(damage =>
    damages.push(warning(damage, 'the next backup or restore puts in order what one that was interrupted has left')),
  )
  if (!work || isAlive(work.pid)) return damages
  const since = age(new Date(work.since))
  return [
    warning(
      `${work.who} was ${work.what}, and it was interrupted in step ${work.step}, ${since} ago`,
      'the next backup or restore puts it in order',
    ),
  ]
}

const unfinishedUpgrade = () => {
  const trouble = readUpgrade()?.trouble ?? undefined
  return trouble === undefined ? [] : [warning(trouble, 'until then the former server goes on as before')]
}

/** What keeps the next deploy from working, or was left half done. */
const lookAtReleases = (): Finding[] => {
  const pins = Object.keys(readPins())
  return unless(pins.length === 0 ? 'no deploy yet' : `brought by a deploy: ${pins.join(', ')}`, [
    ...interruptedDeploy(),
    ...interruptedDataWork(),
    ...unfinishedUpgrade(),
  ])
}

// A health check that is good says little of the pages: those of the apps of Avril are constant words.
const pageFindings = async (config: StackConfig, instances: Instance[]) => {
  const nginx = nginxAmong(instances)
  if (!nginx) return []
  const stack = stackOf(config)
  const found = await Promise.all(stack.apps.map(async app => ({ app, trouble: await pageTrouble(nginx, stack, app) })))
  return found.flatMap(({ app: { service }, trouble }) =>
    trouble === undefined
      ? []
      : [
          bad(
            `${service} is healthy, but ${trouble}`,
            `its log tells more: tsx scripts/logs.ts ${service}; a deploy or a rollback replaces it`,
          ),
        ],
  )
}

const lookAtServices = async ({ config }: Known): Promise<Finding[]> => {
  const services = Object.keys(config.services)
  const instances = await listInstances(config.name)
  const troubles = troublesOf(services, instances)
  if (troubles.length === 0)
    return [
      ...(await pageFindings(config, instances)),
      good(`all ${services.length} are healthy: ${services.join(', ')}`),
    ]
  return [
    bad(troubles.join(', '), 'tsx scripts/status.ts, tsx scripts/logs.ts <service>', {
      mend: 'starting what is not healthy, once what it needs is fetched and built',
    }),
  ]
}

type InspectedImage = { Config: { Labels?: Record<string, string> | null } }

const lookAtImages = async ({ merged }: Known): Promise<Finding[]> => {
  const images = Object.values(merged.services).flatMap(({ image }) => image ?? [])
  const labels = await Promise.all(
    [...new Set(images)].map(async image => ({ image, ...(await attempt(inspectImages([image]))) })),
  )
  const here = labels.filter(({ code }) => code === 0)
  if (here.length === 0) return [unknown('none is here yet')]
  const standIns = here.filter(({ stdout }) =>
    (JSON.parse(stdout) as InspectedImage[]).some(({ Config }) => Config.Labels?.['avril.standin'] === 'true'),
  )
  if (standIns.length === 0) return [good('they are the real ones')]
  const hint = 'not for a real site. Where a registry answers: docker compose pull, docker compose build --pull'
  return [warning(`stand-ins, or built on one: ${standIns.map(({ image }) => image).join(', ')}`, hint)]
}

const repositoryStep = (known: Known): Step => ({
  name: 'repositories',
  needs: ['compose'],
  look: () => repositoryFindings(repositoriesOf(known.config), settingsOf(known)),
  mend: finding => cloneFor(finding, repositoriesOf(known.config), settingsOf(known)),
})

/** By what phoenix logs in, and whether what runs knows it. */
const keySteps = (upgrade: boolean): Step[] => [
  { name: 'keys', needs: ['compose'], look: () => keyFindings(upgrade), mend: makeKeys },
  {
    name: 'running',
    needs: ['compose'],
    look: async () => takenUpFindings(await readConfig(composeFiles())),
  },
]

/** The steps by which a site that is older than keys of its own for the app gets them; nothing else is changed. */
export function upgradeSteps(): Step[] {
  const known: Known = { config: NOTHING, merged: NOTHING }
  return [
    { name: 'settings', needs: [], look: () => lookAtSettings(known, undefined) },
    { name: 'compose', needs: ['settings'], look: () => lookAtCompose(known), mend: linkUnderLock },
    ...keySteps(true),
  ]
}

/** The steps by which a site that runs gets a certificate of an authority; nothing else is changed. */
export function authoritySteps(mail: string): Step[] {
  const known: Known = { config: NOTHING, merged: NOTHING }
  return [
    { name: 'settings', needs: [], look: () => lookAtSettings(known, undefined) },
    { name: 'compose', needs: ['settings'], look: () => lookAtCompose(known), mend: linkUnderLock },
    ...issueSteps(() => settingsOf(known), mail),
  ]
}

/** What a site does that has been started. */
const startedSteps = (known: Known): Step[] => [
  {
    name: 'services',
    needs: ['compose'],
    mendAfter: ['disk', 'stack', 'repositories', 'readable', 'certificate', 'dump', 'releases'],
    look: () => lookAtServices(known),
    mend: startStack,
  },
  ...certificateSteps(() => settingsOf(known)),
  ...keySteps(false),
  { name: 'images', needs: ['compose'], look: () => lookAtImages(known) },
  {
    name: 'archive',
    needs: ['settings'],
    look: async () => archiveFindings(settingsOf(known), await readArchiveFacts(settingsOf(known))),
    mend: () => endArchive(settingsOf(known)),
  },
  {
    name: 'backups',
    needs: ['settings'],
    look: () => backupFindings(readBackupFacts(settingsOf(known))),
    mend: finding => makeNightly(settingsOf(known), finding),
  },
  { name: 'off the site', needs: ['settings'], look: () => offsiteFindings(settingsOf(known)) },
]

/**
 * The steps. `host` is the name of the site, for a .env that is made now; without `start` they end before the first
 * thing that is fetched, built or started.
 */
export function setupSteps({ host, start }: { host: string | undefined; start: boolean }): Step[] {
  const known: Known = { config: NOTHING, merged: NOTHING }
  const { programs, boot, disk, clock, reboot, mount, secrecy, logs } = serverSteps(known)
  return [
    programs,
    boot,
    clock,
    reboot,
    {
      name: 'settings',
      needs: [],
      mendAfter: ['programs'],
      look: () => lookAtSettings(known, host),
      mend: () => makeSettings(host),
    },
    disk,
    { name: 'compose', needs: ['programs', 'settings'], look: () => lookAtCompose(known), mend: linkUnderLock },
    { name: 'nodes', needs: ['compose'], look: lookAtNodes },
    { name: 'stack', needs: ['compose'], look: () => stackFindings(known.config, known.merged, isFile) },
    repositoryStep(known),
    { name: 'readable', needs: ['compose'], look: () => readableFindings(readFolders(known.config)), mend: openFolder },
    { name: 'certificate', needs: ['settings'], look: () => certificateFindings(settingsOf(known)) },
    { name: 'ipv6', needs: ['settings'], look: () => lookAtIpv6(known) },
    { name: 'dump', needs: [], look: dumpFindings },
    mount,
    secrecy,
    { name: 'releases', needs: [], look: lookAtReleases },
    ...(start
      ? startedSteps(known)
      : [{ name: 'services', needs: [], look: () => [unknown('nothing is started (--no-start)')] }]),
    logs,
  ]
}
