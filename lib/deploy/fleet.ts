// How the instances of an app are made, watched and removed: as containers of this machine, or as tasks of a Swarm. The
// rollout is one for both; what differs between them stands here, side by side.
// Long, since both have to be read side by side.
import { composeAdd, docker, logs, removeContainers, start, stop } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { type Watch, watchService, watchTasks } from '../docker/container_events.ts'
import { joinNetworks } from '../docker/join_networks.ts'
import { lastLines, lastWordsOf } from '../docker/last_words.ts'
import { type Instance, listIds, listInstances, readInstance } from '../docker/containers.ts'
import { APP_NODE, serviceCreate } from '../docker/service_words.ts'
import type { App, Stack } from '../docker/stack.ts'
import { readConfig } from '../docker/stack_config.ts'
import {
  isSwarm,
  listNodes,
  listTasks,
  type Node,
  OUT,
  pushRelease,
  serviceIds,
  swarmAddress,
  tellManagers,
} from '../docker/swarm.ts'
import type { Pin } from '../docker/release_pins.ts'
import { pruneNodes } from './prune_nodes.ts'
import { type Nginx, nginxAmong, ofEach } from '../nginx/container.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { attempt, capture } from '../system/run.ts'
import { sleep } from '../system/signals.ts'

interface Wanted {
  pin: Pin | undefined
  /** the Compose files that say what an instance is, beside those of the stack */
  files: string[]
}

/** The instances of an app. */
export interface Fleet {
  /** only all of them can be replaced, in one moment; else one after another, with at most one more than usual */
  atOnce: boolean
  list: () => Promise<Instance[]>
  watch: () => Watch
  /** Starts one more, or all that are missing; gives them before they are healthy. `own`: all that there are. */
  start: (wanted: Wanted, own: Instance[]) => Promise<Instance[]>
  /** Ends when every nginx finds these by the name of their rollout. Throws a Failure when one does not. */
  announce: (nginx: Nginx, rollout: string, instances: Instance[], signal: AbortSignal) => Promise<unknown>
  /** what is known of them by now; until they are healthy a Swarm may not have said where they are */
  again: (instances: Instance[]) => Promise<Instance[]>
  /** Whether these, which are all that are live, are where they would be if they were started now. */
  isSpread: (live: Instance[]) => Promise<boolean>
  /** Lets them end what they do, for their grace period. */
  stop: (instances: Instance[]) => Promise<unknown>
  /** Removes them; in a Swarm with all of their rollout, which end what they do first. */
  remove: (instances: Instance[]) => Promise<unknown>
  /** Removes what there may be of other rollouts without having an instance: one that was killed while it began. */
  sweep: (rollout: string | undefined) => Promise<unknown>
  /** Runs a container that ends by itself; it is begun again only while nothing of it has run. */
  beginning: (run: () => Promise<unknown>) => Promise<unknown>
  /** Removes what there is of releases that are not kept (names of images), beside the images of this machine. */
  prune: (kept: string[]) => Promise<unknown>
  /** the command that prints the log of one */
  log: (instance: Instance, ...words: string[]) => string[]
  /** the end of its log, and what its health check said last, as lines that follow what went wrong */
  lastWords: (instance: Instance) => Promise<string[]>
}

export function fleetOf(stack: Stack, app: App): Fleet {
  if (!isSwarm()) return composeFleet(stack, app)
  return stack.leaves ? leavingFleet(stack, app) : swarmFleet(stack, app)
}

const stopAll = (containers: Instance[]) => Promise.all(containers.map(({ id }) => attempt(stop(id))))
const removeAll = async (containers: Instance[]) => {
  if (containers.length > 0) await capture(removeContainers(containers.map(({ id }) => id)))
}

/** Gives the id of one more container, which is not started yet; dead ones are removed. */
const addContainer = async (project: string, service: string, files: string[], own: Instance[]) => {
  const dead = own.filter(({ running }) => !running)
  if (dead.length > 0) await capture(removeContainers(dead.map(({ id }) => id)))
  await capture(composeAdd(files, service, own.length - dead.length + 1))
  const known = new Set(own.map(({ id }) => id))
  const created = (await listIds(project, service)).find(id => !known.has(id))
  if (created) return created
  throw new Failure(`Compose made no new instance of ${service}`)
}

const composeFleet = ({ project }: Stack, { service }: App): Fleet => ({
  atOnce: false,
  list: async () => (await listInstances(project, service)).filter(({ oneOff }) => !oneOff),
  watch: () => watchService(project, service),
  start: async ({ files }, own) => {
    const created = await addContainer(project, service, [...baseFiles(), ...files], own)
    await capture(start(created))
    return [await readInstance(created)]
  },
  announce: async () => {},
  again: async instances => instances,
  isSpread: async () => true,
  stop: stopAll,
  remove: removeAll,
  sweep: async () => {},
  beginning: run => run(),
  prune: async () => {},
  log: ({ id }, ...words) => logs(id, ...words),
  lastWords: ({ id }) => lastWordsOf(id),
})

/** milliseconds that the managers have to tell of new tasks, and the nodes to tell each other their names */
const TOLD = 30_000

/**
 * Whether no node waits for instances while another has several of them. One that was there when the last of them was
 * started was left out by the Swarm itself, which would do it again.
 */
export function isEven(live: Pick<Instance, 'task' | 'started'>[], nodes: Pick<Node, 'id' | 'changed'>[]) {
  const countOn = ({ id }: Pick<Node, 'id'>) => live.filter(({ task }) => task?.node === id).length
  const last = Math.max(...live.map(({ started }) => Date.parse(started)))
  const isWaiting = nodes.some(node => countOn(node) === 0 && Date.parse(node.changed) > last)
  return !isWaiting || !nodes.some(node => countOn(node) > 1)
}

const swarmFleet = ({ project }: Stack, { service, replicas }: App): Fleet => ({
  atOnce: true,
  // What has become a Swarm a moment ago still has containers of Compose: the first rollout replaces them.
  list: async () => (await listInstances(project, service)).filter(({ oneOff }) => !oneOff),
  watch: () => watchTasks(project, service),
  start: async ({ pin, files }, own) => {
    if (!pin) throw new Failure(`nothing of ${service} was ever deployed to this Swarm`, { hint: 'deploy it' })
    const [known] = await serviceIds(project, service, pin.rollout)
    if (known === undefined) {
      const config = await readConfig([...baseFiles(), ...files])
      const found = config.services[service]
      if (!found) throw new Failure(`docker-compose.yml has no ${service} any more`)
      const networks = Object.fromEntries(
        Object.entries(config.networks ?? {}).map(([key, it]) => [key, it?.name ?? `${project}_${key}`]),
      )
      const source = await pushRelease(pin.image, `${swarmAddress()}:5000`)
      const without = (await listNodes()).filter(({ labels }) => labels[OUT] === 'true').map(({ id }) => id)
      const { words, env } = serviceCreate(found, networks, { project, service, replicas, source, without, ...pin })
      await tellManagers(words, { env, what: `making the service of ${service}` })
    } else await tellManagers(docker('service', 'scale', '--detach', `${known}=${replicas}`))
    const isNew = ({ id, rollout }: Instance) => rollout === pin.rollout && !own.some(it => it.id === id && it.running)
    for (const end = Date.now() + TOLD; ;) {
      const all = await listTasks(project, service)
      const fresh = all.filter(isNew)
      if (all.filter(({ rollout }) => rollout === pin.rollout).length >= replicas) return fresh
      if (Date.now() > end) throw new Failure(`the Swarm does not begin to start ${replicas} of ${service}`)
      await sleep(300)
    }
  },
  announce: (nginx, rollout, instances, signal) =>
    ofEach(nginx, async one => {
      const wanted = instances.flatMap(({ addresses }) =>
        Object.entries(addresses).filter(([name]) => name in nginx.addresses),
      )
      for (const end = Date.now() + TOLD; ;) {
        // A name that nobody has yet is asked for outside, which may take long.
        const { stdout } = await one.run(['timeout', '2', 'getent', 'ahostsv4', rollout], { signal })
        const missing = wanted.filter(([, address]) => !stdout.includes(`${address} `))
        signal.throwIfAborted()
        if (missing.length === 0) return
        if (Date.now() > end)
          throw new Failure(
            `nginx does not find ${missing.map(([, address]) => address).join(', ')} by the name ${rollout}`,
            {
              hint: 'do the nodes reach each other by 7946 (tcp, udp) and 4789 (udp)? tsx scripts/setup.ts --check',
            },
          )
        await sleep(300, signal)
      }
    }),
  again: async instances => {
    const known = await listTasks(project, service)
    return instances.map(it => known.find(({ id }) => id === it.id) ?? it)
  },
  isSpread: async live => {
    if (live.some(({ task }) => task === undefined)) return false
    const nodes = (await listNodes()).filter(it => it.isUp && it.isActive && it.labels[APP_NODE] === 'true')
    return isEven(
      live,
      nodes.filter(({ labels }) => labels[OUT] !== 'true'),
    )
  },
  stop: instances => stopAll(instances.filter(({ task }) => task === undefined)),
  remove: async instances => {
    await removeAll(instances.filter(({ task }) => task === undefined))
    const rollouts = new Set(instances.filter(({ task }) => task !== undefined).map(({ rollout }) => rollout))
    for (const rollout of rollouts) {
      const ids = await serviceIds(project, service, rollout)
      if (ids.length > 0) await tellManagers(docker('service', 'rm', ...ids))
    }
  },
  sweep: async rollout => {
    const kept = rollout === undefined ? [] : await serviceIds(project, service, rollout)
    const rest = (await serviceIds(project, service)).filter(id => !kept.includes(id))
    if (rest.length > 0) await tellManagers(docker('service', 'rm', ...rest))
  },
  beginning: async run => {
    for (let tries = 3; ; tries -= 1)
      try {
        return await run()
      } catch (error) {
        // While nodes come and go a Swarm may give a container no network.
        if (tries === 0 || !messageOf(error).includes('Could not attach to network')) throw error
        say.detail('the Swarm gives it no network yet: once more')
      }
  },
  prune: kept => pruneNodes(project, service, kept),
  log: ({ id, task }, ...words) =>
    task === undefined ? logs(id, ...words) : docker('service', 'logs', '--raw', ...words, id),
  lastWords: async ({ id, task }) => {
    if (task === undefined) return lastWordsOf(id)
    // Of a node that is lost nobody says anything, and Docker waits for it for ever.
    const signal = AbortSignal.timeout(10_000)
    const { stdout, stderr } = await attempt(docker('service', 'logs', '--raw', '--tail', '15', id), { signal })
    const said = stderr.replace(/^error from daemon in stream: .*/m, '')
    return lastLines(stdout + said, task.error ?? '')
  },
})

// On the way back to one server containers of Compose take the place of the tasks. nginx, which is in the networks of
// the Swarm until the end, finds them there; what they ask for themselves (the database) they find in their own.
const leavingFleet = (stack: Stack, app: App): Fleet => ({
  ...swarmFleet(stack, app),
  watch: () => watchService(stack.project, app.service),
  start: async ({ files }, own) => {
    const containers = own.filter(({ task }) => task === undefined)
    const created = await addContainer(stack.project, app.service, [...baseFiles(false), ...files], containers)
    const nginx = nginxAmong(await listInstances(stack.project, 'nginx'))
    const isOfNginx = (network: string) => nginx !== undefined && network in nginx.addresses
    await joinNetworks(baseFiles(true), [await readInstance(created)], isOfNginx)
    await capture(start(created))
    return [await readInstance(created)]
  },
})
