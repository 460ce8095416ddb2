// What is unwise in the stack as Compose reads it. Each check is told what Compose prints, and asks nobody else.
// Long, since it is the list of them.
import { swarmAddress } from '../docker/swarm.ts'
import { bad, type Finding, unless, warning } from './findings.ts'
import { APP_LABEL, appDoubts, appTroubles } from '../docker/stack.ts'
import type { ServiceConfig, StackConfig } from '../docker/stack_config.ts'

const PROXY = 'nginx'

const isApp = ({ labels }: ServiceConfig) => labels?.[APP_LABEL] !== undefined

const each = (config: StackConfig, check: (service: string, it: ServiceConfig) => Finding[]) =>
  Object.entries(config.services).flatMap(([service, it]) => check(service, it))

const says = (test: string[] | undefined) => (test ?? []).slice(1).join(' ')

const isMissing = ({ healthcheck }: ServiceConfig) =>
  !healthcheck?.test || healthcheck.disable === true || healthcheck.test[0] === 'NONE'

const SECONDS: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 0.001 }

/** Seconds in Compose's "1m30s". */
const secondsIn = (duration = '') =>
  [...duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)].reduce(
    (sum, [, number, unit = 's']) => sum + Number(number) * (SECONDS[unit] ?? 0),
    0,
  )

/** What keeps the apps from being rolled. */
export function appFindings(config: StackConfig) {
  return each(config, (service, it) => {
    const troubles = isApp(it) ? appTroubles(it) : []
    return troubles.map(trouble =>
      bad(`${service} ${trouble}`, 'correct docker-compose.yml; until then no script that deploys works'),
    )
  })
}

/** Health checks that are missing, remember what was, or cannot fail. */
export function healthFindings(config: StackConfig) {
  return each(config, (service, it) => {
    // Of an app this is said already, as a fault.
    if (isMissing(it))
      return isApp(it)
        ? []
        : [
            warning(
              `${service} has no health check, so nobody sees when it is ill`,
              'add a healthcheck in docker-compose.yml',
            ),
          ]
    const test = says(it.healthcheck?.test)
    const { interval = '30s' } = it.healthcheck ?? {}
    const writes = /\btouch\b|\btee\b|>>?\s*(?!\/dev\/(null|stdout|stderr)\b)["'$\w/.]/.exec(
      test.replaceAll(/\d?>&\d/g, ''),
    )
    const hint = 'a probe has to ask anew each time, and every few seconds'
    const troubles = [
      writes && 'writes a file: if it remembers a success, a failure goes unseen and a bad release gets requests',
      secondsIn(interval) > 60 && `asks only every ${interval}: a failure goes unseen for so long`,
      /(\|\||;)\s*(true|:|exit 0)\s*$/.test(test) &&
        `cannot fail: it ends with ${JSON.stringify(test.slice(-12).trim())}`,
    ]
    return troubles
      .filter(trouble => typeof trouble === 'string')
      .map(trouble => warning(`the health check of ${service} ${trouble}`, hint))
  })
}

const isLocal = (address: string | undefined) =>
  address !== undefined && (address.startsWith('127.') || address === '::1')

/** What may go wrong with an app although it can be rolled. */
export function doubtFindings(config: StackConfig) {
  return each(config, (service, it) =>
    isApp(it) ? appDoubts(service, it).map(([sentence, hint]) => warning(sentence, hint)) : [],
  )
}

/**
 * Ports that anybody can reach, but for those of the proxy; the nodes of a Swarm reach the address `among`, and nobody
 * else.
 */
export function portFindings(config: StackConfig, among = swarmAddress()) {
  return each(config, (service, { ports = [], ...it }) => {
    const open =
      service === PROXY || isApp(it)
        ? []
        : ports.filter(({ host_ip }) => !isLocal(host_ip) && (among === undefined || host_ip !== among))
    const hint =
      "take its ports out of docker-compose.yml, or bind them to 127.0.0.1; Docker's rules come before those of ufw"
    return open.map(({ published, target }) =>
      bad(`${service} is published to the world, on port ${published ?? target}`, hint),
    )
  })
}

/** Files that are mounted by themselves. `isFile` tells whether a path on this machine is one. */
export function bindMountFindings(config: StackConfig, isFile: (path: string) => boolean) {
  return each(config, (service, { volumes = [] }) => {
    const files = volumes.filter(({ type, source = '' }) => type === 'bind' && isFile(source))
    const why = 'once it is replaced, the container still sees the old one'
    return files.map(({ source, target }) =>
      warning(`${service} mounts the single file ${source} (at ${target}): ${why}`, 'mount the folder that it is in'),
    )
  })
}

const isPinned = (image: string) => image.includes('@sha256:') || (/:[^/:]+$/.test(image) && !image.endsWith(':latest'))

/** Images that may be another one tomorrow. */
export function imageFindings(config: StackConfig) {
  return each(config, (service, { image, build }) => {
    const name = build ? build.args?.BASE : image
    if (name === undefined || isPinned(name)) return []
    return [
      warning(
        `${service} uses ${name}, which is another image from one day to the next`,
        'name a version: image:1.2.3',
      ),
    ]
  })
}

/** Logs of containers that grow without bound, and services that a reboot would leave stopped. */
export function upkeepFindings(config: StackConfig) {
  return each(config, (service, { logging, restart }) => {
    const rotates =
      logging?.driver === undefined || logging.driver === 'json-file'
        ? logging?.options?.['max-size'] !== undefined
        : true
    const comesBack = restart === 'always' || restart === 'unless-stopped'
    return [
      ...(rotates
        ? []
        : [
            warning(
              `the log of ${service} grows without bound`,
              'logging: options: max-size and max-file, then docker compose up -d',
            ),
          ]),
      ...(comesBack
        ? []
        : [warning(`${service} does not come back after a reboot`, 'restart: unless-stopped in docker-compose.yml')]),
    ]
  })
}

// The generated override takes the build away, so that nothing is built in the place of a release.
const withBuilds = (config: StackConfig, merged: StackConfig): StackConfig => {
  const services = Object.entries(merged.services).map(([service, it]) => {
    const build = config.services[service]?.build
    return [service, build ? { ...it, build } : it] as const
  })
  return { ...merged, services: Object.fromEntries(services) }
}

/**
 * All of this together: `config` is docker-compose.yml alone, `merged` with the override, `isFile` tells whether a path
 * on this machine is a file.
 */
export function stackFindings(config: StackConfig, merged: StackConfig, isFile: (path: string) => boolean) {
  const stack = withBuilds(config, merged)
  const checks = [appFindings, healthFindings, doubtFindings, portFindings, imageFindings, upkeepFindings]
  return unless(`apps that can be rolled: ${Object.values(stack.services).filter(isApp).length}; nothing unwise`, [
    ...checks.flatMap(check => check(stack)),
    ...bindMountFindings(stack, isFile),
  ])
}
