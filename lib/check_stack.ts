// What is unwise in the stack as Compose reads it. Each check is told what Compose prints, and asks nobody else.
import { bad, unless, warning, type Finding } from './findings.ts'
import { APP_LABEL, appTroubles, type ServiceConfig, type StackConfig } from './stack.ts'

const PROXY = 'nginx'

const isApp = ({ labels }: ServiceConfig) => labels?.[APP_LABEL] !== undefined

const each = (config: StackConfig, check: (service: string, it: ServiceConfig) => Finding[]) => Object.entries(config.services).flatMap(([service, it]) => check(service, it))

const says = (test: string[] | undefined) => (test ?? []).slice(1).join(' ')

const isMissing = ({ healthcheck }: ServiceConfig) => !healthcheck?.test || healthcheck.disable === true || healthcheck.test[0] === 'NONE'

/** Seconds in Compose's "1m30s". */
const secondsIn = (duration = '') =>
  [...duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)].reduce((sum, [, number, unit]) => sum + Number(number) * ({ h: 3600, m: 60, s: 1, ms: 0.001 }[unit ?? 's'] ?? 0), 0)

/** What keeps the apps from being rolled. */
export const appFindings = (config: StackConfig) =>
  each(config, (service, it) => (isApp(it) ? appTroubles(it).map(trouble => bad(`${service} ${trouble}`, { hint: 'correct docker-compose.yml; until then no script that deploys works' })) : []))

/** Health checks that are missing, remember what was, or cannot fail. */
export const healthFindings = (config: StackConfig) =>
  each(config, (service, it) => {
    // Of an app this is said already, as a fault.
    if (isMissing(it)) return isApp(it) ? [] : [warning(`${service} has no health check, so nobody sees when it is ill`, { hint: 'add a healthcheck in docker-compose.yml' })]
    const test = says(it.healthcheck?.test)
    const writes = /\btouch\b|\btee\b|>>?\s*(?!\/dev\/(null|stdout|stderr)\b)["'$\w/.]/.exec(test.replaceAll(/\d?>&\d/g, ''))
    const hint = 'a probe has to ask anew each time, and every few seconds'
    return [
      writes ? [warning(`the health check of ${service} writes a file: if it remembers a success, a failure goes unseen and a bad release gets requests`, { hint })] : [],
      secondsIn(it.healthcheck?.interval ?? '30s') > 60 ? [warning(`the health check of ${service} asks only every ${it.healthcheck?.interval}: a failure goes unseen for so long`, { hint })] : [],
      /(\|\||;)\s*(true|:|exit 0)\s*$/.test(test) ? [warning(`the health check of ${service} cannot fail: it ends with ${JSON.stringify(test.slice(-12).trim())}`, { hint })] : [],
    ].flat()
  })

const isLocal = (address: string | undefined) => address !== undefined && (address.startsWith('127.') || address === '::1')

/** Ports that anybody can reach, but for those of the proxy. */
export const portFindings = (config: StackConfig) =>
  each(config, (service, { ports = [], ...it }) =>
    service === PROXY || isApp(it)
      ? []
      : ports.flatMap(({ host_ip, published, target }) =>
          isLocal(host_ip)
            ? []
            : [bad(`${service} is published to the world, on port ${published ?? target}`, { hint: "take its ports out of docker-compose.yml, or bind them to 127.0.0.1; Docker's rules come before those of ufw" })],
        ),
  )

/** Files that are mounted by themselves. `isFile` tells whether a path on this machine is one. */
export const mountFindings = (config: StackConfig, isFile: (path: string) => boolean) =>
  each(config, (service, { volumes = [] }) =>
    volumes.flatMap(({ type, source = '', target }) =>
      type === 'bind' && isFile(source)
        ? [warning(`${service} mounts the single file ${source} (at ${target}): once it is replaced, the container still sees the old one`, { hint: 'mount the folder that it is in' })]
        : [],
    ),
  )

const isPinned = (image: string) => image.includes('@sha256:') || (/:[^/:]+$/.test(image) && !image.endsWith(':latest'))

/** Images that may be another one tomorrow. */
export const imageFindings = (config: StackConfig) =>
  each(config, (service, { image = '', build }) => {
    const names = build ? Object.entries(build.args ?? {}).flatMap(([name, value]) => (name === 'BASE' ? [value] : [])) : [image]
    return names.filter(name => name !== '' && !isPinned(name)).map(name => warning(`${service} uses ${name}, which is another image from one day to the next`, { hint: 'name a version: image:1.2.3' }))
  })

/** Logs of containers that grow without bound, and services that a reboot would leave stopped. */
export const upkeepFindings = (config: StackConfig) =>
  each(config, (service, { logging, restart }) => {
    const rotates = logging?.driver === undefined || logging.driver === 'json-file' ? logging?.options?.['max-size'] !== undefined : true
    return [
      rotates ? [] : [warning(`the log of ${service} grows without bound`, { hint: 'logging: options: max-size and max-file in docker-compose.yml, then docker compose up -d' })],
      restart === 'always' || restart === 'unless-stopped' ? [] : [warning(`${service} does not come back after a reboot`, { hint: 'restart: unless-stopped in docker-compose.yml' })],
    ].flat()
  })

// The generated override takes the build away, so that nothing is built in the place of a release.
const withBuilds = (config: StackConfig, merged: StackConfig): StackConfig => ({
  ...merged,
  services: Object.fromEntries(Object.entries(merged.services).map(([service, it]) => [service, { ...it, ...(config.services[service]?.build ? { build: config.services[service].build } : {}) }])),
})

/** All of this together: `config` is docker-compose.yml alone, `merged` with the override, `isFile` tells whether a path on this machine is a file. */
export const stackFindings = (config: StackConfig, merged: StackConfig, isFile: (path: string) => boolean) => {
  const stack = withBuilds(config, merged)
  const checks = [appFindings, healthFindings, portFindings, imageFindings, upkeepFindings]
  return unless(`${Object.values(stack.services).filter(isApp).length} apps that can be rolled, and nothing unwise`, [
    ...checks.flatMap(check => check(stack)),
    ...mountFindings(stack, isFile),
  ])
}
