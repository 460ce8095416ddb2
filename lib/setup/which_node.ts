// Which machine may become a node, and which node somebody means: asked before anything is changed.
import * as v from 'valibot'
import { readAnswer } from '../docker/answers.ts'
import { docker } from '../docker/commands.ts'
import { DB_NODE, type Node } from '../docker/swarm.ts'
import { badConfig, usage } from '../system/errors.ts'
import { overlaps, type OwnNetwork, readNetwork } from '../system/networks.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'

const INFO = v.object({
  Name: v.string(),
  ServerVersion: v.string(),
  Swarm: v.object({
    LocalNodeState: v.string(),
    NodeID: v.string(),
    NodeAddr: v.string(),
    ControlAvailable: v.boolean(),
  }),
})

/** What an engine says of the Swarm that it is in, and what its machine is called. */
export type OwnSwarm = v.InferOutput<typeof INFO>['Swarm'] & { Name: string; ServerVersion: string }

/** Asks an engine; without one this machine's. */
export async function readOwnSwarm(engine?: string): Promise<OwnSwarm> {
  const said = await capture(docker('info', '--format', '{{json .}}'), { engine })
  const { Name, ServerVersion, Swarm } = readAnswer(INFO, said, 'docker info')
  return { Name, ServerVersion, ...Swarm }
}

// Neither of a Swarm nor out of it: waiting for managers that are gone, locked, or broken.
const checkWhole = (who: string, { LocalNodeState: state }: OwnSwarm, leave: string) => {
  if (state === 'active' || state === 'inactive') return
  throw badConfig(
    `${who} is stuck in a Swarm (${state})`,
    `if nothing else needs that one: ${leave}; then run this again`,
  )
}

/** Throws a Failure (64, 78) where this machine cannot be the first node at an address. */
export function checkFirst(address: string, swarm: OwnSwarm, own: OwnNetwork[]) {
  if (!own.some(it => it.address === address))
    throw usage(
      `this machine does not have the address ${address}`,
      `it has ${own.map(it => it.address).join(', ') || 'none'}`,
    )
  const leave = 'docker swarm leave --force'
  checkWhole('this machine', swarm, leave)
  if (swarm.LocalNodeState !== 'active') return
  if (!swarm.ControlAvailable)
    throw badConfig('this machine is a worker of another Swarm', `if nothing needs that: ${leave}; then run this again`)
  if (swarm.NodeAddr !== address)
    throw badConfig(
      `this machine is in a Swarm already, with the address ${swarm.NodeAddr}`,
      `take that one; or, if nothing needs that Swarm: ${leave}; then run this again`,
    )
}

/** Throws a Failure (78) where nginx of another node would listen to nobody: each reads the one NGINX_BIND of .env. */
export function checkBind({ NGINX_BIND }: Pick<Settings, 'NGINX_BIND'>) {
  if (NGINX_BIND === undefined || NGINX_BIND === '0.0.0.0') return
  throw badConfig(
    `NGINX_BIND is ${NGINX_BIND} in .env, and nginx of each node reads it: on the others it would listen to nobody`,
    'NGINX_BIND=0.0.0.0, or NGINX_BIND= for IPv6, too',
  )
}

/**
 * Whether a leader knows what a manager asks it. From 23 on one asks for volumes of the Swarm whenever somebody, as
 * Compose does at each start, asks it for its own; an older one says "unknown method ListVolumes".
 */
export function isUnderstood(manager: string, leader: string) {
  return Number.parseInt(manager) < 23 || Number.parseInt(leader) >= 23
}

/** Throws a Failure (64, 78) for a machine that `--join` must leave alone; `nodes`: those that there are. */
export function checkJoining(
  host: string,
  swarm: OwnSwarm,
  nodes: Pick<Node, 'id' | 'name' | 'host' | 'isHere' | 'isUp' | 'labels' | 'isManager' | 'engineVersion'>[],
  { manager }: { manager: boolean },
) {
  const leave = `ssh ${host} docker swarm leave --force`
  checkWhole(host, swarm, leave)
  // This very machine, before it left or was set up anew, may still be known.
  const others = nodes.filter(it => it.isUp && it.id !== swarm.NodeID && it.host !== host)
  if (others.some(({ name }) => name === swarm.Name))
    throw badConfig(
      `a node is called ${swarm.Name} already, and ${host} is, too`,
      `give it a name of its own (ssh ${host} hostnamectl set-hostname <name>), restart Docker there, then run ` +
        'this again',
    )
  // Any of them may be the leader from one moment to the next.
  const becomesManager = manager && !nodes.some(it => it.isManager && it.id === swarm.NodeID)
  for (const { name, engineVersion } of becomesManager ? nodes.filter(it => it.isManager && it.isUp) : [])
    if (!isUnderstood(swarm.ServerVersion, engineVersion) || !isUnderstood(engineVersion, swarm.ServerVersion))
      throw badConfig(
        `${host} has Docker ${swarm.ServerVersion}, and the manager ${name} has ${engineVersion}: ` +
          'when the older one is the leader, the newer one asks it for what it does not know',
        'bring the older one to 23 or later first, or join without --manager',
      )
  if (swarm.LocalNodeState !== 'active') return
  const node = nodes.find(({ id }) => id === swarm.NodeID)
  if (node === undefined)
    throw badConfig(`${host} is in another Swarm`, `if nothing needs that one: ${leave}; then run this again`)
  if (node.isHere || node.labels[DB_NODE] === 'true')
    throw usage(`${host} is the db node, which is no other's`, 'docker compose up -d starts its nginx with what is new')
}

/**
 * The node of a name, as ssh or the Swarm knows it. Throws a Failure (64) with the list for any other, and for a name
 * of two.
 */
export function pickNode<N extends Pick<Node, 'id' | 'name' | 'host' | 'isUp'>>(nodes: N[], wanted: string): N {
  const found = nodes.filter(it => [it.name, it.host, it.id].includes(wanted))
  const [only] = found
  if (only === undefined)
    throw usage(`the Swarm has no node ${wanted}`, `one of: ${nodes.map(({ name }) => name).join(', ')}`)
  if (found.length === 1) return only
  const texts = found.map(({ id, host, isUp }) => `${id} (${host}, ${isUp ? 'up' : 'lost'})`)
  throw usage(`${found.length} nodes are called ${wanted}`, `say which by its id: ${texts.join(', ')}`)
}

/**
 * Where the networks of a Swarm get their addresses from: Docker's own choice, 10.0.0.0/8, has the nodes' own in it.
 */
const POOLS = ['10.201.0.0/16', '198.18.0.0/16']

/** Those that no network of this machine has: a container would look there for its own neighbours. */
export function poolBeside(own: OwnNetwork[]) {
  const taken = own.map(({ network }) => readNetwork(network))
  return POOLS.find(pool => !taken.some(it => overlaps(it, readNetwork(pool)))) ?? POOLS[0]!
}
