// The stack as docker-compose.yml describes it: which services are apps, what they are built from, why the others
// cannot be rolled.
// Long, since what each label means is said here, and here alone.
import { createHash } from 'node:crypto'
import { composeConfig } from './commands.ts'
import { baseFiles } from './compose_files.ts'
import { loadSettings } from '../system/settings.ts'
import { checkCompose, checkEngine } from './engine.ts'
import { distantDb } from './swarm.ts'
import { alongside } from '../system/concurrency.ts'
import { badConfig, usage } from '../system/errors.ts'
import { attempt } from '../system/run.ts'
import {
  type Build,
  type BuildSecret,
  configOf,
  hasPortTwice,
  type ServiceConfig,
  type StackConfig,
} from './stack_config.ts'
import { buildSettingsOf, isSecretName } from './build_settings.ts'
import { type SmokeTest, smokeTestsOf } from './smoke.ts'

/** A folder in an image, and the path that its files are asked for by, which begins and ends with a slash. */
export interface AssetFolder {
  folder: string
  path: string
}

/** A service that can be rolled. */
export interface App {
  service: string
  /** the name of its repository, a folder beside this checkout */
  repository: string
  /** the folder that its repository lies in */
  folder: string
  port: string
  /** an address at which nginx hands a request to it */
  path: string
  /**
   * what an instance must answer before it gets requests; the first is about its path, or the label lists that one too
   */
  smoke: SmokeTest[]
  /** the words of the command to run once in each new release */
  migrate: string[]
  /** the words of the command that opens a console in an instance; none when it has none */
  console: string[]
  /**
   * the words of the commands that print what an instance keeps in its memory, and that read it in another one; none
   * when it keeps nothing
   */
  state: { save: string[]; load: string[] } | undefined
  /** where files that are named after their content lie in its image, and where browsers look for them */
  assets: AssetFolder[]
  /** whether a drill starts it on what it has restored */
  drilled: boolean
  replicas: number
  /** what may go wrong although it can be rolled, in whole sentences */
  doubts: string[]
  /** the services that it cannot do without (depends_on) */
  needs: string[]
  build: Build
  network: string
  /** changes when what docker-compose.yml and .env say about the service changes */
  fingerprint: string
}

export interface Stack {
  project: string
  /** the host name of the site */
  site: string
  /** what build.secrets of the apps name, as Compose reads it */
  secrets: Record<string, BuildSecret>
  apps: App[]
  /** service → why it cannot be rolled, and what to do instead */
  refusals: Map<string, string>
  services: string[]
  /** it leaves the Swarm: new instances are containers of this machine again */
  leaves?: boolean
}

export const APP_LABEL = 'avril.repository'

/** "no" keeps a drill from starting an app that cannot start without the world outside. */
export const DRILL_LABEL = 'avril.drill.start'

/**
 * Why a service that is labelled as an app cannot be rolled, in words that follow its name; empty when nothing is
 * wrong.
 */
export function appTroubles({ labels, build, healthcheck, container_name, ports }: ServiceConfig) {
  const { [APP_LABEL]: repository = '', 'avril.port': port = '', [DRILL_LABEL]: drilled = 'yes' } = labels ?? {}
  const secret = Object.keys(build?.args ?? {})
    .concat(buildSettingsOf(build?.args))
    .find(isSecretName)
  const troubles = [
    !/^[a-z0-9][a-z0-9._-]*$/.test(repository) &&
      `has no proper label avril.repository (${JSON.stringify(repository)})`,
    !/^\d{2,5}$/.test(port) && `has no proper label avril.port (${JSON.stringify(port)})`,
    !/^(yes|no)$/.test(drilled) && `has a label ${DRILL_LABEL} that is neither "yes" nor "no", with the quotes`,
    !build?.context && 'has no build section',
    secret !== undefined &&
      `hands the secret ${secret} to its build, whose image and pages would hold it (build.args; take it out, or ` +
        'make it a build secret: build.secrets)',
    (!healthcheck?.test || healthcheck.disable) && 'has no health check, so nothing tells when it may get requests',
    container_name && 'has a container_name, so two instances cannot run',
    ports?.length && 'publishes a port, so two instances cannot run',
  ]
  return troubles.filter(trouble => typeof trouble === 'string' && trouble !== '') as string[]
}

/** What may go wrong with an app although it can be rolled, and what to do about it: [sentence, hint]. */
export function appDoubts(service: string, { labels, healthcheck, deploy }: ServiceConfig) {
  const test = [healthcheck?.test ?? []].flat().join(' ')
  const replicas = Number(deploy?.replicas ?? 1)
  const doubts: (readonly [string, string] | false)[] = [
    /\bcurl\b/.test(test) &&
      !/http_code|response_code|\s(-L|--location)\b/.test(test) && [
        `the health check of ${service} takes a redirect for a good answer (curl without %{http_code}): it may be ` +
          'good before the app has started all that its pages need',
        'let it demand a 2xx, as those of docker-compose.yml do',
      ],
    labels?.['avril.state.save'] !== undefined &&
      replicas > 1 && [
        `${service} keeps sessions in each of its ${replicas} instances (avril.state.save): logins fail at random`,
        'one replica, until the app keeps its sessions where all instances find them (a database)',
      ],
  ]
  return doubts.filter(doubt => doubt !== false)
}

const wordsOf = (text: string) => text.split(/\s+/).filter(Boolean)

/** Reads the label avril.assets: words "/folder/in/the/image:/path/" each. Throws (78) for a word that is none. */
const assetsOf = (service: string, label: string): AssetFolder[] =>
  wordsOf(label).map(word => {
    const [, folder, path] = /^((?:\/[\w.@-]+)+):(\/(?:[\w.@-]+\/)*)$/.exec(word) ?? []
    if (folder !== undefined && path !== undefined && !/\/\.\.?(\/|:|$)/.test(word)) return { folder, path }
    throw badConfig(
      `docker-compose.yml: ${service} has a word in its label avril.assets that is not a folder and a path: ` +
        JSON.stringify(word),
      'as in /app/.nuxt/dist/client:/mon-espace/_nuxt/',
    )
  })

// The one in which nginx finds it: others it may have for what it needs itself.
const networkOf = ({ networks = {} }: ServiceConfig, { networks: reached = {} }: ServiceConfig = {}) =>
  Object.keys(networks).find(name => name in reached) ?? Object.keys(networks)[0] ?? 'default'

const appOf = (service: string, config: ServiceConfig, nginx: ServiceConfig | undefined): App => {
  const {
    [APP_LABEL]: repository = '',
    'avril.port': port = '',
    'avril.path': path = '/',
    'avril.migrate': migrate = '',
    'avril.console': shell = '',
    'avril.smoke': smoke = '',
    'avril.assets': assets = '',
    'avril.state.save': save = '',
    'avril.state.load': load = '',
    [DRILL_LABEL]: drilled = 'yes',
  } = config.labels ?? {}
  const [trouble] = appTroubles(config)
  if (trouble !== undefined || !config.build)
    throw badConfig(
      `docker-compose.yml: ${service} ${trouble}`,
      'it is labelled as an app that can be rolled (avril.repository)',
    )
  return {
    service,
    repository,
    folder: config.build.context,
    port,
    path,
    smoke: smokeTestsOf(service, path, smoke),
    migrate: wordsOf(migrate),
    console: wordsOf(shell),
    state: save && load ? { save: wordsOf(save), load: wordsOf(load) } : undefined,
    assets: assetsOf(service, assets),
    drilled: drilled === 'yes',
    replicas: Number(config.deploy?.replicas ?? 1),
    doubts: appDoubts(service, config).map(([sentence, hint]) => `${sentence}; ${hint}`),
    needs: Object.keys(config.depends_on ?? {}),
    build: config.build,
    network: networkOf(config, nginx),
    fingerprint: createHash('sha256')
      .update(JSON.stringify({ ...config, build: undefined, deploy: undefined }))
      .digest('hex')
      .slice(0, 16),
  }
}

/** The stack in the JSON that `docker compose config` prints. Throws (78) when an app in it cannot be rolled. */
export function stackOf(config: StackConfig): Stack {
  const services = Object.entries(config.services)
  return {
    project: config.name,
    site: config.services.nginx?.environment?.WHOST ?? 'localhost',
    secrets: config.secrets ?? {},
    apps: services
      .filter(([, { labels }]) => labels?.[APP_LABEL])
      .map(([service, it]) => appOf(service, it, config.services.nginx)),
    refusals: new Map(
      services.map(([service, { labels }]) => [service, labels?.['avril.refusal'] ?? 'it is not labelled as an app']),
    ),
    services: services.map(([service]) => service),
  }
}

/**
 * The stack of this checkout, with everything that a command needs of it checked: the settings and docker-compose.yml
 * (78 when wrong), Docker Compose and the engine (69 when missing).
 */
export async function openStack(files = baseFiles()): Promise<Stack> {
  loadSettings()
  // What was started there would be a second database under the same name, and locks are files of one machine.
  const db = distantDb()
  if (db !== undefined)
    throw badConfig(
      `by .env the data are on the machine that has the address ${db} (SWARM), and this is another one`,
      'run this there, or from here with --on <host>',
    )
  const outcome = await alongside(() => attempt(composeConfig(files)), checkEngine)
  // One that is too old cannot read docker-compose.yml (env_file with `required` came with 2.24), or takes a port that
  // is named twice for two; and to ask for the version costs as much as to read it.
  if (outcome.code !== 0) await checkCompose()
  const config = configOf(outcome)
  if (hasPortTwice(config)) await checkCompose()
  return stackOf(config)
}

/**
 * The app of a repository. Throws (64) with the list for any other word, and with the reason for a service that is no
 * app.
 */
export function appFor({ apps, refusals }: Stack, word: string): App {
  const app = apps.find(({ repository }) => repository === word)
  if (app) return app
  const list = apps.map(({ repository, service }) => `${repository} (${service})`).join(', ')
  const refusal = refusals.get(word)
  const service = apps.find(({ service }) => service === word)
  if (service)
    throw usage(`${word} is a service; name its repository: ${service.repository}`, `the repositories: ${list}`)
  if (refusal) throw usage(`${word} cannot be rolled: ${refusal}`, `the repositories that can be deployed: ${list}`)
  throw usage(`there is no repository ${JSON.stringify(word)} in docker-compose.yml`, `one of: ${list}`)
}
