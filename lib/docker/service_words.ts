// What `docker service create` is told of an app: the same that Compose makes a container of. Nothing is run here.
import { badConfig } from '../system/errors.ts'
import { docker } from './commands.ts'
import type { ServiceConfig } from './stack_config.ts'

/** A rollout as a service of the Swarm. */
export interface ServiceRequest {
  project: string
  service: string
  /** names the rollout, and is an alias of its instances in each network */
  rollout: string
  /** of the release, as it is called on this machine */
  image: string
  /** where every node finds it */
  source: string
  fingerprint: string
  replicas: number
  /** ids of nodes that get no instance */
  without: string[]
}

/** The label of a node that instances may run on. */
export const APP_NODE = 'avril.app'

// What the program `docker` itself, or what it starts, would heed in its environment.
const HEEDED = /^(PATH|HOME|USER|TMPDIR|TZ|LANG|LANGUAGE|LC_\w+|(DOCKER|SSH|LD|GO|OTEL)\w*|\w+_PROXY)$/i

/** What is translated here, and what is about how Compose builds, orders and starts. */
const KNOWN = new Set(
  (
    'image labels environment healthcheck networks init cap_drop cap_add mem_limit pids_limit stop_grace_period ' +
    'stop_signal logging read_only cpus ' +
    // A service of a Swarm has no security_opt: the guide says so.
    'build pull_policy depends_on restart profiles scale expose container_name develop attach security_opt'
  ).split(' '),
)

// Compose also prints what nobody has set.
const isSet = (value: unknown): boolean =>
  typeof value === 'object' && value !== null
    ? Object.values(value).some(isSet)
    : value !== undefined && value !== null && value !== false && value !== ''

/**
 * What docker-compose.yml asks for and a Swarm would not be given is told, and not dropped without a word. Throws a
 * Failure (78).
 */
export function checkTranslated(service: string, config: ServiceConfig) {
  const { deploy: { replicas: _, ...deploy } = {}, ...others } = config
  const wanted = { ...others, 'deploy but for replicas': deploy }
  const alien = Object.entries(wanted).find(([key, value]) => !KNOWN.has(key) && isSet(value))?.[0]
  if (alien === undefined) return
  throw badConfig(
    `${service} has ${alien} in docker-compose.yml, which does not go to a Swarm`,
    'build it into the image; what an app keeps belongs into the database or the bucket',
  )
}

const given = (flag: string, value: string | number | undefined | null) =>
  value === undefined || value === null || value === '' ? [] : [flag, String(value)]

const healthWords = ({ healthcheck: it = {} }: ServiceConfig) => {
  const [kind, ...words] = it.test ?? []
  const command =
    kind === 'CMD-SHELL' ? words.join(' ') : words.map(word => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  return [
    ...given('--health-cmd', command),
    ...given('--health-interval', it.interval),
    ...given('--health-timeout', it.timeout),
    ...given('--health-retries', it.retries),
    ...given('--health-start-period', it.start_period),
  ]
}

// `docker compose config` prints what it would read as the same: each $ twice.
const unescaped = (value: unknown): unknown => {
  if (typeof value === 'string') return value.replaceAll('$$', () => '$')
  if (Array.isArray(value)) return value.map(unescaped)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, unescaped(it)]))
}

// What comes by env_file and what is written out arrive as one. A value may be a secret: only names are words, and
// their values are handed on in the environment of the command.
const environmentOf = (environment: Record<string, string | null>) => {
  const entries = Object.entries(environment).filter((it): it is [string, string] => it[1] !== null)
  return {
    words: entries.flatMap(([name, value]) => ['--env', HEEDED.test(name) ? `${name}=${value}` : name]),
    env: Object.fromEntries(entries.filter(([name]) => !HEEDED.test(name))),
  }
}

/**
 * The command that makes the service of a rollout, and what it needs in its environment. `networks` says what those
 * that the app names are called. Throws a Failure (78) for what docker-compose.yml asks for and a Swarm would not give.
 */
export function serviceCreate(printed: ServiceConfig, networks: Record<string, string>, it: ServiceRequest) {
  const config = unescaped(printed) as ServiceConfig
  checkTranslated(it.service, config)
  const labels = { 'avril.project': it.project, 'avril.service': it.service, 'avril.rollout': it.rollout }
  const shown = { ...labels, 'avril.image': it.image, 'avril.fingerprint': `f${it.fingerprint}` }
  const { words: environment, env } = environmentOf(config.environment ?? {})
  const words = docker(
    'service',
    'create',
    '--detach',
    '--quiet',
    '--name',
    `${it.project}_${it.rollout}`,
    '--replicas',
    String(it.replicas),
    '--endpoint-mode',
    'dnsrr',
    '--constraint',
    `node.labels.${APP_NODE}==true`,
    ...it.without.flatMap(id => ['--constraint', `node.id!=${id}`]),
    // It comes back when it has died, as a container with `restart: unless-stopped` does.
    '--restart-condition',
    'any',
    '--restart-delay',
    '2s',
    ...Object.entries(shown).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
    ...Object.entries(labels).flatMap(([name, value]) => ['--container-label', `${name}=${value}`]),
    ...Object.keys(config.networks ?? { default: null }).flatMap(name => [
      '--network',
      `name=${networks[name] ?? name},alias=${it.rollout}`,
    ]),
    ...environment,
    ...healthWords(config),
    ...(config.init === true ? ['--init'] : []),
    ...(config.cap_drop ?? []).flatMap(name => ['--cap-drop', name]),
    ...(config.cap_add ?? []).flatMap(name => ['--cap-add', name]),
    ...given('--limit-memory', Number(config.mem_limit ?? 0) > 0 ? config.mem_limit : undefined),
    ...given('--limit-pids', config.pids_limit),
    ...given('--limit-cpu', Number(config.cpus ?? 0) > 0 ? config.cpus : undefined),
    ...(config.read_only === true ? ['--read-only'] : []),
    ...given('--stop-grace-period', config.stop_grace_period),
    ...given('--stop-signal', config.stop_signal),
    ...given('--log-driver', config.logging?.driver),
    ...Object.entries(config.logging?.options ?? {}).flatMap(([name, value]) => ['--log-opt', `${name}=${value}`]),
    it.source,
  )
  return { words, env }
}
