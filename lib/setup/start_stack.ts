// The first start: what is missing is fetched and built, then all services are started; what runs already is left
// alone.
// Long, since what is said while a first start goes on for minutes is here, too.
import { compose, composeRunOnce, logs } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { stateFile } from '../system/state_folder.ts'
import { type Instance, isWell, listInstances } from '../docker/containers.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { composeFiles, pinFiles } from '../docker/release_pins.ts'
import { firstCommit } from '../deploy/plan.ts'
import { buildRelease, imageExists } from '../deploy/releases.ts'
import { attempt, show } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { accompany } from './setup.ts'
import { stackOf } from '../docker/stack.ts'
import { readConfig, type StackConfig } from '../docker/stack_config.ts'

/** What apt and each layer print while an image is built: hundreds of lines that tell nothing. */
const CHATTER =
  /^#\d+ (sha256:|extracting |resolve |[\d.]+ +(Get:|Selecting |Preparing |Unpacking |Setting up |\(Reading|update-alternatives|debconf:|Processing triggers))/

/** What Compose prints on the way to "Healthy". */
const ON_THE_WAY = /^ (Container|Network|Volume) .* (Creating|Created|Starting|Started|Waiting|Running)\s*$/

/** The services whose image is not on this machine. */
const missingImages = async ({ services }: StackConfig) => {
  const named = Object.entries(services).map(async ([service, { image }]) =>
    image !== undefined && (await imageExists(image)) ? [] : [service],
  )
  return (await Promise.all(named)).flat()
}

/** What each service lacks, in words. */
export function troublesOf(services: string[], instances: Instance[]) {
  return services.flatMap(service => {
    const own = instances.filter(it => it.service === service && !it.oneOff)
    if (own.some(isWell)) return []
    return [`${service} is ${own.find(({ running }) => running)?.health ?? 'not running'}`]
  })
}

const imageOf = ({ services }: StackConfig, service: string) => {
  const image = services[service]?.image
  if (image !== undefined) return image
  throw badConfig(`docker-compose.yml: ${service} has no image, so what is built for it has no name`, 'give it one')
}

const fetchImages = async (config: StackConfig, missing: string[]) => {
  const pulled = missing.filter(service => !config.services[service]?.build)
  const pinned = pulled.filter(service => pinFiles().length > 0 && config.services[service]?.labels?.['avril.rollout'])
  if (pinned.length > 0)
    throw new Failure(
      `the release of ${pinned.join(', ')} that docker-compose.releases.yml names is not on this machine`,
      {
        hint:
          'it was made elsewhere, or removed: rm docker-compose.releases.yml nginx/live/*.json, run this again, ' +
          'then deploy',
      },
    )
  if (pulled.length > 0) {
    say.step(`start: fetching the images of ${pulled.join(', ')}`)
    const hint = 'is the network there (a proxy? a full disk?), and does the registry answer?'
    await show(compose(baseFiles(), '--progress', 'plain', 'pull', ...pulled), {
      what: 'fetching images',
      hint,
      exitCode: EXIT.unreachable,
      hide: /^\s*[0-9a-f]{12} /,
    })
  }
  const built = missing.filter(service => config.services[service]?.build)
  if (built.length === 0) return
  say.step(`start: building ${built.join(', ')}`)
  const hint = 'the lines above say why; correct it (is the network there?), then run this again'
  // As a deploy does, by a commit: a clone has local changes, and what git keeps of it.
  const stack = stackOf(config)
  const apps = stack.apps.filter(({ service }) => built.includes(service))
  for (const app of apps)
    await buildRelease(stack, app, imageOf(config, app.service), await firstCommit(app), { hint, hide: CHATTER })
  const others = built.filter(service => !apps.some(app => app.service === service))
  if (others.length > 0)
    await show(compose(baseFiles(), '--progress', 'plain', 'build', ...others), {
      what: 'the build',
      hint,
      hide: CHATTER,
    })
}

const lastLines = async ({ id }: Instance, count: number) => {
  const { stdout, stderr } = await attempt(logs(id, '--tail', String(count)))
  return `${stdout}\n${stderr}`.trim()
}

/** Shows the end of an instance's log, after what is wrong with it. */
export async function tellLog(instance: Instance, trouble: string) {
  say.bad(`${instance.service} ${trouble}; the end of its log:`)
  say.detail((await lastLines(instance, 10)).replaceAll('\n', '\n  '))
}

/** Shows the logs of those that Compose gave up, or else of all that are not well. */
const explainIll = async (project: string, words: string) => {
  const ill = (await listInstances(project)).filter(it => !it.oneOff && !isWell(it))
  const named = ill.filter(({ name }) => words.includes(`container ${name} `))
  for (const instance of named.length > 0 ? named : ill) await tellLog(instance, 'is not healthy')
}

const howFar = async (services: string[], project: string, spent: string) => {
  const instances = await listInstances(project)
  const waiting = troublesOf(services, instances)
  const postgres = instances.find(({ service }) => service === 'postgres')
  // It may be restoring a large dump.
  const says = postgres && !isWell(postgres) ? `; postgres says: ${await lastLines(postgres, 1)}` : ''
  return `after ${spent}: ${waiting.join(', ') || 'all are healthy'}${says}`
}

/** Fetches and builds the images that are not on this machine. Only under the deploy lock. Throws a Failure. */
export async function fetchMissing() {
  const all = await readConfig(composeFiles())
  const own = Object.entries(all.services).filter(([, { profiles = [] }]) => profiles.length === 0)
  const config = { ...all, services: Object.fromEntries(own) }
  await fetchImages(config, await missingImages(config))
  return config
}

// What does not run of these services is started; those that do not get healthy are shown with the end of their log.
const bringUp = async (project: string, services: string[], files: string[]) => {
  // What runs is not touched: a changed setting is taken up by a deploy, without losing a request.
  const up = ['up', '--detach', '--no-build', '--no-recreate', '--wait']
  const words = compose(files, '--project-name', project, '--progress', 'plain', ...up, ...services)
  // Whoever was killed may have left one at work, and two at once would make the same container.
  const work = show(['flock', stateFile('start.lock'), ...words], { what: 'docker compose up', hide: ON_THE_WAY })
  await accompany(work, spent => howFar(services, project, spent)).catch(async (error: unknown) => {
    if (!(error instanceof Failure) || error.exitCode > 128) throw error
    await explainIll(project, error.message)
    const taken = /address already in use|port is already allocated/.test(error.message)
    const hint = taken
      ? 'what else listens on that port? ss -ltnp'
      : 'the logs above say why; scripts/logs.ts shows all of them'
    throw new Failure(error.message, { cause: error, hint })
  })
}

/**
 * Starts a Compose project: the database, with the dump that lies ready, and the migrations of the apps on it; then the
 * rest. Waits until all are healthy. Only under the deploy lock. Throws a Failure.
 */
export async function bringUpMigrated(config: StackConfig, project: string, files: string[]) {
  await bringUp(project, ['postgres'], files)
  for (const { service, migrate } of stackOf(config).apps.filter(app => app.migrate.length > 0)) {
    say.step(`migrate: ${service}, ${migrate.join(' ')}`)
    await show(composeRunOnce(files, service, migrate, project), {
      what: `the migration of ${service}`,
      hint: 'the lines above are its own',
    })
  }
  await bringUp(project, Object.keys(config.services), files)
}

/**
 * Starts what does not run, and waits until all are healthy; before that for a deploy or a restore that is at work.
 * Throws a Failure.
 */
export async function startStack() {
  const lock = await takeDeployLock(true)
  try {
    const config = await fetchMissing()
    const services = Object.keys(config.services)
    say.step(`start: ${services.join(', ')}`)
    await bringUp(config.name, services, composeFiles())
    say.detail('a start runs no migration; a deploy does: tsx scripts/deploy_all.ts')
  } finally {
    await lock.dispose()
  }
}
