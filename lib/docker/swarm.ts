// The Swarm, when `.env` says that there is one: its nodes, and the instances of apps in it, which are tasks of a
// service for each rollout. Only a manager is asked; nothing here reaches another node.
// Long, since what a Swarm says of itself is read here alone.
import { existsSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { root } from '../system/checkout.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { attempt, capture, failureOf, type Outcome, type RunOptions } from '../system/run.ts'
import { sleep } from '../system/signals.ts'
import { changeSettings } from '../system/env_file.ts'
import { uncheckedTexts } from '../system/settings.ts'
import { readAnswer } from './answers.ts'
import { docker } from './commands.ts'

let address: string | null | undefined

/**
 * The address of the db node in the private network of the nodes, by .env; undefined: there is one server, and no
 * Swarm.
 */
export function swarmAddress() {
  if (address === undefined) address = uncheckedTexts().get('SWARM') ?? null
  return address ?? undefined
}

/** Whether the apps are instances of a Swarm. */
export function isSwarm() {
  return swarmAddress() !== undefined
}

/** Where the certificates of the registry lie, on the db node. */
export const CERTIFICATES = join(root, 'swarm', 'certificates')

/** That address when it is of another machine than this one: there the data are, and what says who is live. */
export function distantDb() {
  const db = swarmAddress()
  if (db === undefined || existsSync(CERTIFICATES)) return undefined
  const own = Object.values(networkInterfaces()).flat()
  return own.some(it => it?.address === db) ? undefined : db
}

/** Has .env say so from now on; undefined: there is one server again. */
export function setSwarm(to: string | undefined) {
  changeSettings({ SWARM: to })
  address = to ?? null
}

const NODE = v.object({
  ID: v.string(),
  UpdatedAt: v.string(),
  Spec: v.object({
    Labels: v.optional(v.record(v.string(), v.string()), {}),
    Role: v.string(),
    Availability: v.string(),
  }),
  Description: v.object({ Hostname: v.string(), Engine: v.object({ EngineVersion: v.string() }) }),
  Status: v.object({ State: v.string(), Addr: v.string(), Message: v.optional(v.string(), '') }),
  ManagerStatus: v.optional(v.object({ Leader: v.optional(v.boolean(), false), Reachability: v.string() })),
})

/** A machine of the Swarm. */
export interface Node {
  id: string
  name: string
  /** what ssh knows it by */
  host: string
  isManager: boolean
  isLeader: boolean
  /** the managers hear it */
  isUp: boolean
  isActive: boolean
  engineVersion: string
  /** when it joined, came back, or was given other labels; ISO 8601 */
  changed: string
  labels: Record<string, string>
  /** it is this machine */
  isHere: boolean
}

/** The label of a node that says by which name ssh reaches it, and those for what it does. */
export const SSH_HOST = 'avril.ssh'
export const WEB_NODE = 'avril.web'
export const DB_NODE = 'avril.db'
/** It is being taken out: instances go elsewhere, and its nginx tells the balancer so. */
export const OUT = 'avril.out'

const nodeOf = (it: v.InferOutput<typeof NODE>, own: string): Node => ({
  id: it.ID,
  name: it.Description.Hostname,
  host: it.Spec.Labels[SSH_HOST] ?? it.Status.Addr,
  isManager: it.Spec.Role === 'manager',
  isLeader: it.ManagerStatus?.Leader ?? false,
  isUp: it.Status.State === 'ready',
  isActive: it.Spec.Availability === 'active',
  engineVersion: it.Description.Engine.EngineVersion,
  changed: it.UpdatedAt,
  labels: it.Spec.Labels,
  isHere: it.ID === own,
})

const readNodes = async () => {
  const listed = await askManagers(docker('node', 'ls', '--quiet'))
  if (listed.code !== 0)
    throw new Failure(`the Swarm does not answer: ${listed.stderr.trim()}`, {
      exitCode: EXIT.unreachable,
      hint: 'run this on a manager; when most managers are lost, see "Managers" in docs/several-servers.md',
    })
  const json = await tellManagers(docker('node', 'inspect', ...listed.stdout.split('\n').filter(Boolean)))
  return readAnswer(v.array(NODE), json, 'docker node inspect')
}

/** milliseconds in which a manager that has become the leader hears of every node that is there */
const HEARD = 20_000

/** All nodes, by their names. Throws a Failure (69) where this machine is no manager, or the managers are too few. */
export async function listNodes(): Promise<Node[]> {
  const own = await attempt(docker('info', '--format', '{{.Swarm.NodeID}}'))
  for (const end = Date.now() + HEARD; ; await sleep(1000)) {
    const nodes = await readNodes()
    if (Date.now() < end && nodes.some(it => it.Status.State === 'unknown')) continue
    return nodes.map(it => nodeOf(it, own.stdout.trim())).toSorted((a, b) => a.name.localeCompare(b.name))
  }
}

const SERVICE = v.object({
  ID: v.string(),
  Spec: v.object({ Name: v.string(), Labels: v.record(v.string(), v.string()) }),
})
const TASK = v.object({
  ID: v.string(),
  CreatedAt: v.string(),
  ServiceID: v.string(),
  Slot: v.optional(v.number(), 0),
  NodeID: v.optional(v.string(), ''),
  DesiredState: v.string(),
  Status: v.object({
    State: v.string(),
    Timestamp: v.string(),
    Err: v.exactOptional(v.string()),
    ContainerStatus: v.exactOptional(
      v.object({ ContainerID: v.optional(v.string(), ''), ExitCode: v.optional(v.number()) }),
    ),
  }),
  NetworksAttachments: v.optional(
    v.nullable(
      v.array(
        v.object({
          Network: v.object({ Spec: v.object({ Name: v.string() }) }),
          Addresses: v.optional(v.nullable(v.array(v.string())), []),
        }),
      ),
    ),
    [],
  ),
})

type Task = v.InferOutput<typeof TASK>

/** What a manager says while another one becomes the leader, and how many milliseconds that may take. */
const LEADERLESS =
  /does not have a leader|context deadline exceeded|code = (?:Unavailable|DeadlineExceeded)|no longer the leader|update out of sequence/i
const ELECTION = 45_000

/**
 * Asks a manager, or tells it something; while the leader is being replaced again and again, so it must be something
 * that may be done twice. Never throws but at a signal.
 */
export async function askManagers(words: string[], options: RunOptions = {}): Promise<Outcome> {
  for (const end = Date.now() + ELECTION; ; await sleep(1000)) {
    const outcome = await attempt(words, options)
    if (outcome.code === 0 || Date.now() > end || !LEADERLESS.test(outcome.stderr)) return outcome
  }
}

/** The same; throws a Failure when it is not done. */
export async function tellManagers(words: string[], options: RunOptions = {}) {
  const outcome = await askManagers(words, options)
  // Whoever has not heard that it was done says it twice.
  const isDone =
    outcome.code === 0 || /name conflicts with an existing object|service \S+ not found/.test(outcome.stderr)
  if (!isDone) throw failureOf(words, outcome, options)
  return outcome.stdout.trim()
}

/** What a revision is looked up by: the image of the release, on this machine. */
const revisionOf = async (images: string[]) => {
  const format = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
  const found = await Promise.all(
    images.map(async image => {
      const { code, stdout } = await attempt(docker('image', 'inspect', '--format', format, image))
      return [image, code === 0 ? stdout.trim() || undefined : undefined] as const
    }),
  )
  return new Map(found)
}

/** The ids of the services of a project, or of one app of it, or of one rollout. */
export async function serviceIds(project: string, service?: string, rollout?: string) {
  const wanted = { 'avril.project': project, 'avril.service': service, 'avril.rollout': rollout }
  const filters = Object.entries(wanted).flatMap(([name, value]) =>
    value === undefined ? [] : ['--filter', `label=${name}=${value}`],
  )
  return (await tellManagers(docker('service', 'ls', '--quiet', ...filters))).split('\n').filter(Boolean)
}

// One that is removed while it is asked for has no tasks any more: the others are read again.
const readServices = async (project: string, service: string | undefined) => {
  for (let tries = 3; ; tries -= 1) {
    const ids = await serviceIds(project, service)
    if (ids.length === 0) return { services: [], tasks: [] }
    const [services, listed] = await Promise.all([
      askManagers(docker('service', 'inspect', ...ids)),
      askManagers(docker('service', 'ps', '--quiet', '--no-trunc', ...ids)),
    ])
    const taskIds = [...new Set(listed.stdout.split('\n').filter(Boolean))]
    const tasks =
      taskIds.length === 0
        ? { code: 0, stdout: '[]', stderr: '' }
        : await askManagers(docker('inspect', '--type', 'task', ...taskIds))
    if ([services, listed, tasks].every(({ code }) => code === 0))
      return {
        services: readAnswer(v.array(SERVICE), services.stdout, 'docker service inspect'),
        tasks: readAnswer(v.array(TASK), tasks.stdout, 'docker inspect'),
      }
    if (tries === 0) throw new Failure(`the services of ${project} cannot be read: ${services.stderr || listed.stderr}`)
  }
}

/** Every task that the Swarm still knows, also of those that have ended. */
export async function readTasks(
  project: string,
  service: string,
): Promise<{ id: string; state: Task['Status']; wanted: boolean }[]> {
  const { tasks } = await readServices(project, service)
  return tasks.map(it => ({ id: it.ID, state: it.Status, wanted: ['running', 'ready'].includes(it.DesiredState) }))
}

/** The instances that a Swarm has, or is about to have, of a project or one of its services; oldest first. */
export async function listTasks(project: string, service?: string) {
  const { services, tasks } = await readServices(project, service)
  const byId = new Map(services.map(it => [it.ID, it.Spec]))
  const revisions = await revisionOf([...new Set(services.map(it => it.Spec.Labels['avril.image'] ?? ''))])
  return tasks
    .filter(it => it.DesiredState === 'running' || it.DesiredState === 'ready')
    .flatMap(it => {
      const spec = byId.get(it.ServiceID)
      if (!spec) return []
      const isUp = it.Status.State === 'running'
      const image = spec.Labels['avril.image'] ?? ''
      const instance = {
        id: it.ID,
        name: `${spec.Name}.${it.Slot}.${it.ID}`,
        service: spec.Labels['avril.service'] ?? '',
        rollout: spec.Labels['avril.rollout'],
        // A Swarm calls a task running only when its health check is good.
        running: isUp,
        health: isUp ? 'healthy' : 'starting',
        addresses: Object.fromEntries(
          (it.NetworksAttachments ?? []).map(({ Network, Addresses }) => [
            Network.Spec.Name,
            Addresses?.[0]?.replace(/\/\d+$/, '') ?? '',
          ]),
        ),
        image,
        revision: revisions.get(image),
        fingerprint: spec.Labels['avril.fingerprint']?.replace(/^f/, ''),
        started: isUp ? it.Status.Timestamp : it.CreatedAt,
        restart: 'always',
        oneOff: false,
        standIn: false,
        task: {
          container: it.Status.ContainerStatus?.ContainerID || undefined,
          node: it.NodeID,
          error: it.Status.Err || undefined,
        },
      }
      return [instance]
    })
}

/**
 * Has a release wait in the registry for whoever is to run it. Gives by what name: that of its content, so that nobody
 * can put another in its place. Throws a Failure.
 */
export async function pushRelease(image: string, registry: string) {
  const name = `${registry}/${image.replace(/:[^:/]*$/, '')}`
  const tagged = `${registry}/${image}`
  await capture(docker('tag', image, tagged))
  try {
    await capture(docker('push', '--quiet', tagged), {
      what: `bringing ${image} to the registry`,
      hint: 'is the service registry running (tsx scripts/status.ts), and is its port reached?',
    })
    const digests: string[] = JSON.parse(
      await capture(docker('image', 'inspect', '--format', '{{json .RepoDigests}}', tagged)),
    )
    const found = digests.find(it => it.startsWith(`${name}@`))
    if (found !== undefined) return found
    throw new Failure(`the registry has given ${image} no digest`)
  } finally {
    await attempt(docker('image', 'rm', tagged))
  }
}
