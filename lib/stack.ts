// The stack as docker-compose.yml describes it: which services are apps, what they are built from, why the others cannot be rolled.
import { createHash } from 'node:crypto'
import { COMPOSE_FILE, composeConfig } from './compose.ts'
import { loadSettings } from './config.ts'
import { badConfig, EXIT, Failure, usage } from './errors.ts'
import { attempt, failureOf } from './run.ts'

/** How Compose was told to build an app. */
export interface Build {
  context: string
  dockerfile?: string
  dockerfile_inline?: string
  args?: Record<string, string>
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
  /** the words of the command to run once in each new release */
  migrate: string[]
  /** the words of the command that opens a console in an instance; none when it has none */
  console: string[]
  replicas: number
  /** the services that it cannot do without (depends_on) */
  needs: string[]
  build: Build
  network: string
  /** changes when what docker-compose.yml and .env say about the service changes */
  fingerprint: string
}

export interface Stack {
  project: string
  apps: App[]
  /** service → why it cannot be rolled, and what to do instead */
  refusals: Map<string, string>
  services: string[]
}

interface ServiceConfig {
  labels?: Record<string, string>
  build?: Build
  healthcheck?: { test?: string[]; disable?: boolean }
  deploy?: { replicas?: number | string }
  networks?: Record<string, unknown>
  depends_on?: Record<string, unknown>
  container_name?: string
  ports?: unknown[]
}

const wordsOf = (text: string) => text.split(/\s+/).filter(Boolean)

const appOf = (service: string, config: ServiceConfig): App => {
  const { 'avril.repository': repository = '', 'avril.port': port = '', 'avril.path': path = '/', 'avril.migrate': migrate = '', 'avril.console': shell = '' } = config.labels ?? {}
  const wrong = (what: string) => badConfig(`docker-compose.yml: ${service} ${what}`, 'it is labelled as an app that can be rolled (avril.repository)')
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(repository)) throw wrong(`has no proper label avril.repository (${JSON.stringify(repository)})`)
  if (!/^\d{2,5}$/.test(port)) throw wrong(`has no proper label avril.port (${JSON.stringify(port)})`)
  if (!config.build?.context) throw wrong('has no build section')
  if (!config.healthcheck?.test || config.healthcheck.disable) throw wrong('has no health check, so nothing tells when it may get requests')
  if (config.container_name) throw wrong('has a container_name, so two instances cannot run')
  if (config.ports?.length) throw wrong('publishes a port, so two instances cannot run')
  return {
    service,
    repository,
    folder: config.build.context,
    port,
    path,
    migrate: wordsOf(migrate),
    console: wordsOf(shell),
    replicas: Number(config.deploy?.replicas ?? 1),
    needs: Object.keys(config.depends_on ?? {}),
    build: config.build,
    network: Object.keys(config.networks ?? {})[0] ?? 'default',
    fingerprint: createHash('sha256').update(JSON.stringify({ ...config, build: undefined, deploy: undefined })).digest('hex').slice(0, 16),
  }
}

/** The stack in the JSON that `docker compose config` prints. Throws (78) when an app in it cannot be rolled. */
export const stackOf = (config: { name: string; services: Record<string, ServiceConfig> }): Stack => {
  const services = Object.entries(config.services)
  return {
    project: config.name,
    apps: services.filter(([, { labels }]) => labels?.['avril.repository']).map(([service, it]) => appOf(service, it)),
    refusals: new Map(services.map(([service, { labels }]) => [service, labels?.['avril.refusal'] ?? 'it is not labelled as an app'])),
    services: services.map(([service]) => service),
  }
}

/**
 * The stack of this checkout, with everything that a command needs of it checked: the settings and docker-compose.yml (78 when wrong), Docker Compose and
 * the engine (69 when missing).
 */
export const openStack = async (): Promise<Stack> => {
  loadSettings()
  const command = composeConfig([COMPOSE_FILE])
  const [config] = await Promise.all([attempt(command), checkCompose(), checkEngine()])
  if (config.code === 0) return stackOf(JSON.parse(config.stdout))
  throw badConfig(failureOf(command, config, { what: 'reading docker-compose.yml' }).message, 'nothing was touched')
}

const checkCompose = async () => {
  const { code, stdout } = await attempt(['docker', 'compose', 'version', '--short'])
  const [major = 0, minor = 0] = stdout.replace(/^v/, '').split('.').map(Number)
  if (code === 0 && (major > 2 || (major === 2 && minor >= 24))) return
  const v1 = (await attempt(['docker-compose', '--version'])).code === 0
  const found = v1 ? 'only Docker Compose v1 (docker-compose) is installed' : 'Docker Compose is not installed'
  const advice = v1
    ? 'v1 has had no fixes since 2023 and cannot read this docker-compose.yml; install the package of version 2 beside it: '
    : 'install the package '
  throw new Failure(`${code === 0 ? `Docker Compose ${stdout.trim()} is too old` : found}: 2.24 or later is needed, as "docker compose"`, {
    exitCode: EXIT.unreachable,
    hint: `${advice}docker-compose (Debian 13), docker-compose-v2 (Ubuntu) or docker-compose-plugin (docker.com)`,
  })
}

const checkEngine = async () => {
  const outcome = await attempt(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (outcome.code === 0) return
  throw new Failure(`the Docker engine does not answer: ${outcome.stderr.trim().split('\n').at(-1)}`, {
    exitCode: EXIT.unreachable,
    hint: 'is it running (systemctl status docker), and may this user talk to it (group docker)?',
  })
}

/** The app of a repository. Throws (64) with the list for any other word, and with the reason for a service that is no app. */
export const appFor = ({ apps, refusals }: Stack, word: string): App => {
  const app = apps.find(({ repository }) => repository === word)
  if (app) return app
  const list = apps.map(({ repository, service }) => `${repository} (${service})`).join(', ')
  const refusal = refusals.get(word)
  const service = apps.find(({ service }) => service === word)
  if (service) throw usage(`${word} is a service; name its repository: ${service.repository}`, `the repositories: ${list}`)
  if (refusal) throw usage(`${word} cannot be rolled: ${refusal}`, `the repositories that can be deployed: ${list}`)
  throw usage(`there is no repository ${JSON.stringify(word)} in docker-compose.yml`, `one of: ${list}`)
}
