// The containers of the stack, found by their labels (names differ between versions of Compose).
import * as v from 'valibot'
import { readAnswer } from './answers.ts'
import { containerIds, inspect } from './commands.ts'
import { Failure } from '../system/errors.ts'
import { capture, type RunOptions } from '../system/run.ts'
import { isSwarm, listTasks } from './swarm.ts'

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
  /** of an instance in a Swarm: then `id` is that of its task, which only a manager knows */
  task?: { container: string | undefined; node: string; error: string | undefined }
  /** the engine that it runs on (RunOptions); undefined: that of this machine */
  engine?: string | undefined
}

const INSPECTED = v.object({
  Id: v.string(),
  Name: v.string(),
  State: v.object({
    Running: v.boolean(),
    StartedAt: v.string(),
    Health: v.optional(v.object({ Status: v.string() })),
  }),
  Config: v.object({ Image: v.string(), Labels: v.record(v.string(), v.string()) }),
  HostConfig: v.object({
    RestartPolicy: v.object({ Name: v.string(), MaximumRetryCount: v.optional(v.number()) }),
  }),
  NetworkSettings: v.object({ Networks: v.record(v.string(), v.object({ IPAddress: v.string() })) }),
})

type Inspected = v.InferOutput<typeof INSPECTED>

const policyOf = ({ Name, MaximumRetryCount: most = 0 }: Inspected['HostConfig']['RestartPolicy']) =>
  most > 0 ? `${Name}:${most}` : Name || 'no'

const instanceOf = ({ Id, Name, State, Config, HostConfig, NetworkSettings }: Inspected): Instance[] => {
  const service = Config.Labels['com.docker.compose.service']
  // Somebody may have given a container of his own the label of the project alone.
  if (service === undefined) return []
  const instance = {
    id: Id,
    name: Name.replace(/^\//, ''),
    service,
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
  }
  return [instance]
}

/** The engine whose containers they are (RunOptions); without it that of this machine. */
type Engine = string | undefined

/** milliseconds in which that of another machine must answer: it may hang, and nobody waits for it */
const PATIENCE = 15_000

const reaching = (engine: Engine): RunOptions =>
  engine === undefined
    ? {}
    : { engine, signal: AbortSignal.timeout(PATIENCE), what: `asking Docker there, for ${PATIENCE / 1000} s at most,` }

/** The ids of all containers, running or not, that carry every one of these labels. */
export async function idsWith(labels: string[], engine?: Engine) {
  return (await capture(containerIds(...labels), reaching(engine))).split('\n').filter(Boolean)
}

/**
 * The labels of all that Compose makes for a project, or for one of its services. Images that it has built have those
 * two as well, and so has whatever runs of them: a task of a Swarm, a shell that somebody starts by `docker run`.
 */
export function composeLabels(project: string, service?: string) {
  return [
    'com.docker.compose.oneoff',
    `com.docker.compose.project=${project}`,
    ...(service === undefined ? [] : [`com.docker.compose.service=${service}`]),
  ]
}

/** The ids of all containers that Compose has made for the project, or for one of its services. */
export async function listIds(project: string, service?: string, engine?: Engine) {
  return idsWith(composeLabels(project, service), engine)
}

/** The containers in the JSON that `docker inspect` prints, oldest first. */
export function instancesIn(json: string): Instance[] {
  const inspected = readAnswer(v.array(INSPECTED), json, 'docker inspect')
  return inspected.flatMap(instanceOf).toSorted((a, b) => a.started.localeCompare(b.started))
}

/** These containers, oldest first. Throws a Failure when one of them is gone. */
export async function readInstances(ids: string[], engine?: Engine): Promise<Instance[]> {
  return instancesIn(await capture(inspect(ids), reaching(engine)))
}

/** The containers of the project, or of one of its services, oldest first. */
export async function listContainers(project: string, service?: string, engine?: Engine): Promise<Instance[]> {
  const ids = await listIds(project, service, engine)
  return ids.length === 0 ? [] : readInstances(ids, engine)
}

/** The same, with those that are in a Swarm, wherever they run. */
export async function listInstances(project: string, service?: string, engine?: Engine): Promise<Instance[]> {
  if (engine !== undefined || !isSwarm()) return listContainers(project, service, engine)
  const [containers, tasks] = await Promise.all([listContainers(project, service), listTasks(project, service)])
  return [...containers, ...tasks].toSorted((a, b) => a.started.localeCompare(b.started))
}

/** Throws a Failure when there is no such container. */
export async function readInstance(id: string): Promise<Instance> {
  const [instance] = await readInstances([id])
  if (!instance) throw new Failure(`the container ${id} is gone`)
  return instance
}

/**
 * Where one container reaches another: the address in a network that both are in; undefined when there is none, or when
 * the other one does not run.
 */
export function addressFor(
  { addresses: own }: Pick<Instance, 'addresses'>,
  { addresses }: Pick<Instance, 'addresses'>,
) {
  return Object.entries(addresses).find(([network]) => network in own)?.[1] || undefined
}

/** It runs, and nothing says that it is ill: without a health check nobody knows better. */
export function isWell({ running, health = 'healthy' }: Instance) {
  return running && health === 'healthy'
}

export function isHealthy({ running, health }: Instance) {
  return running && health === 'healthy'
}
