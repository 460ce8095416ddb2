// What runs as docker-compose.yml and .env said before: a change reaches a container only when that is made anew.
import { docker } from '../docker/commands.ts'
import { type Finding, unless, warning } from './findings.ts'
import { type Instance, listInstances } from '../docker/containers.ts'
import { capture } from '../system/run.ts'
import { APP_LABEL } from '../docker/stack.ts'
import type { ServiceConfig, StackConfig } from '../docker/stack_config.ts'

interface Running {
  networks: string[]
  environment: Partial<Record<string, string>>
}

/** names in one line */
const MOST = 6

const readRunning = async ({ id, addresses }: Instance): Promise<Running> => {
  const lines = JSON.parse(await capture(docker('inspect', '--format', '{{json .Config.Env}}', id))) as string[]
  return {
    // What has no network is in one of that name.
    networks: Object.keys(addresses).filter(name => name !== 'none'),
    environment: Object.fromEntries(
      lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ),
  }
}

const networksOf = ({ networks = {} }: ServiceConfig, config: StackConfig) =>
  Object.keys(networks).map(name => config.networks?.[name]?.name ?? `${config.name}_${name}`)

const listed = (names: string[]) =>
  [...names.slice(0, MOST), ...(names.length > MOST ? [`${names.length - MOST} more`] : [])].join(', ')

/** In what an instance differs from what it would be now, by names alone: values may be secrets. */
export function differences(service: ServiceConfig, config: StackConfig, { networks, environment }: Running) {
  const wanted = networksOf(service, config)
  // Compose doubles each $ in what it prints.
  const settings = Object.entries(service.environment ?? {}).flatMap(([name, value]) => {
    if (value === null || (value === '' && environment[name] === undefined)) return []
    return environment[name] === value.replaceAll('$$', '$') ? [] : [name]
  })
  const missing = wanted.filter(name => !networks.includes(name))
  const surplus = networks.filter(name => !wanted.includes(name))
  return [
    ...(settings.length > 0 ? [`other settings (${listed(settings.toSorted())})`] : []),
    ...(missing.length > 0 ? [`not in ${missing.join(', ')}`] : []),
    ...(surplus.length > 0 ? [`still in ${surplus.join(', ')}`] : []),
  ]
}

const hintFor = (service: string, { labels }: ServiceConfig) => {
  const repository = labels?.[APP_LABEL]
  return repository === undefined
    ? `when the apps are deployed: docker compose up -d ${service}, with a short interruption`
    : `tsx scripts/deploy_local.ts ${repository}, which no visitor notices`
}

/** What is to be said of all that runs. */
export async function takenUpFindings(config: StackConfig): Promise<Finding[]> {
  const instances = (await listInstances(config.name)).filter(
    ({ running, oneOff, service }) => running && !oneOff && config.services[service],
  )
  const found = await Promise.all(
    instances.map(async instance => ({
      instance,
      service: config.services[instance.service] ?? {},
      running: await readRunning(instance),
    })),
  )
  return unless(
    'what runs is as docker-compose.yml and .env say',
    found.flatMap(({ instance, service, running }) => {
      const differs = differences(service, config, running)
      return differs.length === 0
        ? []
        : [
            warning(
              `${instance.name} runs as before a change: ${differs.join('; ')}`,
              hintFor(instance.service, service),
            ),
          ]
    }),
  )
}
