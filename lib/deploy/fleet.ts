// How the instances of an app are made, watched and removed: as containers of this machine, or as tasks of a Swarm. The
// rollout is one for both; what differs between them stands here, side by side.
// Long, since both have to be read side by side.
import { composeAdd, docker, logs, removeContainers, start, stop } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { type Watch, watchService, watchTasks } from '../docker/container_events.ts'
import { lastLines, lastWordsOf } from '../docker/last_words.ts'
import { type Instance, listIds, listInstances, readInstance } from '../docker/containers.ts'
import { serviceCreate } from '../docker/service_words.ts'
import type { App, Stack } from '../docker/stack.ts'
import { readConfig } from '../docker/stack_config.ts'
import { isSwarm, listNodes, listTasks, OUT, pushRelease, serviceIds, tellManagers } from '../docker/swarm.ts'
import type { Pin } from '../docker/release_pins.ts'
import { type Nginx, ofEach } from '../nginx/container.ts'
import { Failure } from '../system/errors.ts'
import { attempt, capture } from '../system/run.ts'
import { loadSettings } from '../system/settings.ts'
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
  /** Lets them end what they do, for their grace period. */
  stop: (instances: Instance[]) => Promise<unknown>
  /** Removes them; in a Swarm with all of their rollout, which end what they do first. */
  remove: (instances: Instance[]) => Promise<unknown>
  /** Removes what there may be of other rollouts without having an instance: one that was killed while it began. */
  sweep: (rollout: string | undefined) => Promise<unknown>
  /** the command that prints the log of one */
  log: (instance: Instance, ...words: string[]) => string[]
  /** the end of its log, and what its health check said last, as lines that follow what went wrong */
  lastWords: (instance: Instance) => Promise<string[]>
}

export function fleetOf(stack: Stack, app: App): Fleet {
  return isSwarm() ? swarmFleet(stack, app) : composeFleet(stack, app)
}

const stopAll = (containers: Instance[]) => Promise.all(containers.map(({ id }) => attempt(stop(id))))
const removeAll = async (containers: Instance[]) => {
  if (containers.length > 0) await capture(removeContainers(containers.map(({ id }) => id)))
}

const composeFleet = ({ project }: Stack, { service }: App): Fleet => ({
  atOnce: false,
  list: async () => (await listInstances(project, service)).filter(({ oneOff }) => !oneOff),
  watch: () => watchService(project, service),
  start: async ({ files }, own) => {
    const dead = own.filter(({ running }) => !running)
    if (dead.length > 0) await capture(removeContainers(dead.map(({ id }) => id)))
    await capture(composeAdd([...baseFiles(), ...files], service, own.length - dead.length + 1))
    const known = new Set(own.map(({ id }) => id))
    const created = (await listIds(project, service)).find(id => !known.has(id))
    if (!created) throw new Failure(`Compose made no new instance of ${service}`)
    await capture(start(created))
    return [await readInstance(created)]
  },
  announce: async () => {},
  again: async instances => instances,
  stop: stopAll,
  remove: removeAll,
  sweep: async () => {},
  log: ({ id }, ...words) => logs(id, ...words),
  lastWords: ({ id }) => lastWordsOf(id),
})

/** milliseconds that the managers have to tell of new tasks, and the nodes to tell each other their names */
const TOLD = 30_000

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
      const source = await pushRelease(pin.image, `${loadSettings().SWARM}:5000`)
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
  log: ({ id, task }, ...words) =>
    task === undefined ? logs(id, ...words) : docker('service', 'logs', '--raw', ...words, id),
  lastWords: async ({ id, task }) => {
    if (task === undefined) return lastWordsOf(id)
    // Of a node that is lost nobody says anything, and Docker waits for it for ever.
    const signal = AbortSignal.timeout(10_000)
    const { stdout, stderr } = await attempt(docker('service', 'logs', '--raw', '--tail', '15', id), { signal })
    return lastLines(stdout + stderr, task.error ?? '')
  },
})
