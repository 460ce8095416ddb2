// The containers of the stack, found by their labels (names differ between versions of Compose).
import { containerIds, inspect } from './commands.ts'
import { Failure } from '../system/errors.ts'
import { capture } from '../system/run.ts'

/** A container of a service. */
export interface Instance {
  id: string
  name: string
  service: string
  /** the rollout that brought it; undefined when Compose started it by itself */
  rollout: string | undefined
  running: boolean
  /** what its health check says; undefined without one */
  health: string | undefined
  /** its address in each network that it is in */
  addresses: Record<string, string>
  image: string
  revision: string | undefined
  fingerprint: string | undefined
  /** ISO 8601 */
  started: string
  /** when it starts by itself: "always", "unless-stopped", "on-failure:5", "no" … */
  restart: string
  /** made by `docker compose run`, not one of the service's instances */
  oneOff: boolean
  standIn: boolean
}

interface Inspected {
  Id: string
  Name: string
  State: { Running: boolean; StartedAt: string; Health?: { Status: string } }
  Config: { Image: string; Labels: Record<string, string> }
  HostConfig: { RestartPolicy: { Name: string; MaximumRetryCount?: number } }
  NetworkSettings: { Networks: Record<string, { IPAddress: string }> }
}

const policyOf = ({ Name, MaximumRetryCount: most = 0 }: Inspected['HostConfig']['RestartPolicy']) =>
  most > 0 ? `${Name}:${most}` : Name || 'no'

const instanceOf = ({ Id, Name, State, Config, HostConfig, NetworkSettings }: Inspected): Instance => ({
  id: Id,
  name: Name.replace(/^\//, ''),
  service: Config.Labels['com.docker.compose.service'] ?? '',
  rollout: Config.Labels['avril.rollout'],
  running: State.Running,
  health: State.Health?.Status,
  addresses: Object.fromEntries(
    Object.entries(NetworkSettings.Networks).map(([network, { IPAddress }]) => [network, IPAddress]),
  ),
  image: Config.Image,
  revision: Config.Labels['org.opencontainers.image.revision'],
  fingerprint: Config.Labels['avril.fingerprint']?.replace(/^f/, ''),
  started: State.StartedAt,
  restart: policyOf(HostConfig.RestartPolicy),
  oneOff: Config.Labels['com.docker.compose.oneoff'] === 'True',
  standIn: Config.Labels['avril.standin'] === 'true',
})

/** The engine whose containers they are (RunOptions); without it that of this machine. */
type Engine = string | undefined

/** The ids of all containers, running or not, that carry every one of these labels. */
export async function idsWith(labels: string[], engine?: Engine) {
  return (await capture(containerIds(...labels), { engine })).split('\n').filter(Boolean)
}

/** The ids of all containers of the project, or of one of its services. */
export async function listIds(project: string, service?: string, engine?: Engine) {
  const labels = [
    `com.docker.compose.project=${project}`,
    ...(service === undefined ? [] : [`com.docker.compose.service=${service}`]),
  ]
  return idsWith(labels, engine)
}

/** These containers, oldest first. Throws a Failure when one of them is gone. */
export async function readInstances(ids: string[], engine?: Engine): Promise<Instance[]> {
  const inspected: Inspected[] = JSON.parse(await capture(inspect(ids), { engine }))
  return inspected.map(instanceOf).toSorted((a, b) => a.started.localeCompare(b.started))
}

/** The containers of the project, or of one of its services, oldest first. */
export async function listInstances(project: string, service?: string, engine?: Engine): Promise<Instance[]> {
  const ids = await listIds(project, service, engine)
  return ids.length === 0 ? [] : readInstances(ids, engine)
}

/** Throws a Failure when there is no such container. */
export async function readInstance(id: string): Promise<Instance> {
  const [instance] = await readInstances([id])
  if (!instance) throw new Failure(`the container ${id} is gone`)
  return instance
}

/**
 * Where one container reaches another: the address in a network that both are in; empty when there is none, or when the
 * other one does not run.
 */
export function addressFor(
  { addresses: own }: Pick<Instance, 'addresses'>,
  { addresses }: Pick<Instance, 'addresses'>,
) {
  return Object.entries(addresses).find(([network]) => network in own)?.[1] ?? ''
}

/** It runs, and nothing says that it is ill: without a health check nobody knows better. */
export function isWell({ running, health = 'healthy' }: Instance) {
  return running && health === 'healthy'
}

export function isHealthy({ running, health }: Instance) {
  return running && health === 'healthy'
}
