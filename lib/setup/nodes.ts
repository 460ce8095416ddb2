// The machines of a Swarm: this one becomes the first of several, others join it, are taken out, and leave.
// Long, since each of these takes back or goes on with what another has begun.
import { closeSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { compose, docker } from '../docker/commands.ts'
import { linkReleases } from '../docker/compose_files.ts'
import { listInstances } from '../docker/containers.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { APP_NODE } from '../docker/service_words.ts'
import { readConfig } from '../docker/stack_config.ts'
import { openStack, type Stack } from '../docker/stack.ts'
import { DB_NODE, listNodes, type Node, OUT, SSH_HOST, WEB_NODE } from '../docker/swarm.ts'
import { LIVE } from '../nginx/live.ts'
import { engineOf } from '../ssh/engines.ts'
import { root } from '../system/checkout.ts'
import { changeSettings } from '../system/env_file.ts'
import { Failure, messageOf, usage } from '../system/errors.ts'
import { replaceFile } from '../system/files.ts'
import { ownNetworks } from '../system/networks.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, show } from '../system/run.ts'
import { loadSettings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { makeCertificates, runOn, sendNginx, trustRegistry } from './node_files.ts'
import { checkFirst, checkJoining, pickNode, poolBeside, readOwnSwarm } from './which_node.ts'

const NETWORKS = { '': [], _back: ['--internal'], _files: ['--internal'] }

const networkName = (project: string, part: string) => `${project}_swarm${part}`

const makeNetworks = async (project: string) => {
  for (const [part, words] of Object.entries(NETWORKS)) {
    const name = networkName(project, part)
    if ((await attempt(docker('network', 'inspect', name))).code === 0) continue
    await capture(docker('network', 'create', '--driver', 'overlay', '--attachable', ...words, name))
  }
}

const label = (node: string, labels: Record<string, string>) =>
  capture(
    docker(
      'node',
      'update',
      ...Object.entries(labels).flatMap(([key, value]) => ['--label-add', `${key}=${value}`]),
      node,
    ),
  )

const stateOfSwarm = async (engine?: string) =>
  (await capture(docker('info', '--format', '{{.Swarm.LocalNodeState}} {{.Swarm.NodeID}}'), { engine })).split(' ')

// What runs goes on as it is, in the networks of before and in those of the Swarm.
const takeAlong = async (project: string) => {
  const { services, networks = {} } = await readConfig(composeFiles())
  for (const { id, name, service, rollout, addresses, oneOff, task } of await listInstances(project)) {
    if (oneOff || task !== undefined) continue
    const names = Object.keys(services[service]?.networks ?? {}).map(key => networks[key]?.name ?? '')
    for (const network of names.filter(it => it.startsWith(networkName(project, '')) && !(it in addresses))) {
      const aliases = [service, ...(rollout === undefined ? [] : [rollout])].flatMap(it => ['--alias', it])
      await capture(docker('network', 'connect', ...aliases, network, id), { what: `bringing ${name} to ${network}` })
    }
  }
}

/**
 * Makes this machine, which has a site, the first of a Swarm; its data stay where they are, and what runs goes on. Only
 * nginx is started again: the port is nobody's for some seconds. Throws a Failure.
 */
export async function beginSwarm(address: string) {
  checkFirst(address, await readOwnSwarm(), ownNetworks())
  const before = await openStack()
  const lock = await takeDeployLock(true)
  try {
    const [state, id] = await stateOfSwarm()
    if (state !== 'active') {
      const pool = ['--default-addr-pool', poolBeside(ownNetworks())]
      await capture(docker('swarm', 'init', '--advertise-addr', address, ...pool), { what: 'docker swarm init' })
      say.done('this machine is the first node of a Swarm')
    } else say.detail('this machine is in a Swarm already, which is taken as it is')
    const own = id || (await stateOfSwarm())[1]!
    await label(own, { [WEB_NODE]: 'true', [APP_NODE]: 'true', [DB_NODE]: 'true' })
    await makeNetworks(before.project)
    await makeCertificates(address)
    await trustRegistry(address)
    changeSettings({ SWARM: address })
    linkReleases()
    await takeAlong(before.project)
    const up = ['--progress', 'plain', 'up', '--detach', '--no-build', '--wait']
    await show(compose(composeFiles(), ...up, 'registry'), { what: 'starting the registry' })
    const began = performance.now()
    say.step('start: nginx, which says who is live to those of other nodes from now on')
    await show(compose(composeFiles(), ...up), { what: 'docker compose up' })
    say.done(`it is up again after ${((performance.now() - began) / 1000).toFixed(0)} s`)
  } finally {
    await lock.dispose()
  }
}

/** The node of a name, as ssh or the Swarm knows it. Throws a Failure (64) for any other, and for a name of two. */
export async function nodeNamed(host: string): Promise<Node> {
  return pickNode(await listNodes(), host)
}

const swarmAddress = () => {
  const { SWARM } = loadSettings()
  if (SWARM !== undefined) return SWARM
  throw usage(
    'this site has one server',
    'tsx scripts/setup.ts --swarm <address of this machine in the private network> makes it the first of several',
  )
}

const installEngine = async (host: string) => {
  const from = openSync(join(root, 'lib', 'docker', 'engine.sh'), 'r')
  try {
    await runOn(host, 'installing Docker', 'exec bash -s', [], from)
  } finally {
    closeSync(from)
  }
}

/** The address that a machine reaches this one from. */
const OWN_ADDRESS = `ip -o route get "$1" | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'`

/**
 * Makes a bare machine a node: an engine, the registry's certificate, nginx's files, labels, an nginx. What is done
 * already is left alone, so it brings a node up to date, too. Throws a Failure.
 */
export async function joinNode(host: string, { manager }: { manager: boolean }) {
  const address = swarmAddress()
  await openStack()
  say.step(`engine: Docker on ${host}`)
  await installEngine(host)
  const engine = await engineOf(host)
  checkJoining(host, await readOwnSwarm(engine), await listNodes())
  const [state] = await stateOfSwarm(engine)
  if (state !== 'active') {
    const role = manager ? 'manager' : 'worker'
    const token = await capture(docker('swarm', 'join-token', '--quiet', role))
    const own = await runOn(host, 'looking for its address', OWN_ADDRESS, [address])
    const words = ['--token', token, '--advertise-addr', own, `${address}:2377`]
    try {
      await capture(docker('swarm', 'join', ...words), {
        engine,
        what: `joining ${host} to the Swarm`,
        hint: 'does it reach this machine by 2377 (tcp), 7946 (tcp, udp) and 4789 (udp), and has it the same time (date)?',
      })
    } finally {
      // Whoever has seen it in a list of processes can do nothing with it.
      const { code } = await attempt(docker('swarm', 'join-token', '--rotate', '--quiet', role))
      if (code !== 0)
        say.warn(`who has seen the token may join: docker swarm join-token --rotate ${role} makes a new one`)
    }
    say.done(`${host} is a ${role}`)
  }
  const id = (await stateOfSwarm(engine))[1]!
  await label(id, { [WEB_NODE]: 'true', [APP_NODE]: 'true', [SSH_HOST]: host })
  await trustRegistry(address, host)
  say.step(`nginx on ${host}`)
  await sendNginx(host)
  const nodes = await listNodes()
  const node = pickNode(nodes, id)
  if (manager && !node.isManager) await capture(docker('node', 'promote', id))
  await startNginx(node)
  for (const it of nodes.filter(other => other.host === host && other.id !== id))
    say.warn(`${host} was another node before: tsx scripts/setup.ts --leave ${it.id} forgets that one`)
  say.done(`${node.name} serves the site; the next deploy of each app runs there, too`)
}

const startNginx = async ({ id, name, host }: Node) => {
  const words = ['up', '--detach', '--no-deps', '--wait', 'nginx']
  await show(compose(composeFiles(), '--progress', 'plain', ...words), {
    engine: await engineOf(host),
    env: { SWARM_ROLE: 'other', SWARM_NODE: id },
    what: `starting nginx on ${name}`,
  })
}

/** Brings nginx's files, with the certificate, to all other web nodes; one that is not reached is a warning. */
export async function shareNginx() {
  const nodes = (await listNodes()).filter(({ isHere, labels }) => !isHere && labels[WEB_NODE] === 'true')
  for (const { name, host } of nodes)
    await sendNginx(host).catch((error: unknown) => {
      say.warn(
        `${name} has nginx's files of before: ${messageOf(error)}; tsx scripts/setup.ts --join ${host} brings them`,
      )
    })
}

/** Which nodes balancers are to leave alone; nginx reads it (nginx/follow.js). */
const tellOut = async () => {
  const out = (await listNodes()).filter(({ labels }) => labels[OUT] === 'true').map(({ id }) => id)
  const file = join(LIVE, 'out')
  if (out.length === 0) rmSync(file, { force: true })
  else replaceFile(file, `${JSON.stringify(out)}\n`)
}

/**
 * Has balancers take a node out: its /healthcheck says 503 from now on, while it goes on serving who comes. Then the
 * instances on it are replaced by others elsewhere (`moveApps`), and after that it may be switched off. Throws a Failure.
 */
export async function drainNode(host: string, seconds: number, moveApps: () => Promise<unknown>) {
  swarmAddress()
  const node = await nodeNamed(host)
  if (node.labels[DB_NODE] === 'true')
    throw usage(
      `${node.name} has the database: without it there is no site`,
      'docs/several-servers.md says how the data move',
    )
  await label(node.id, { [OUT]: 'true' })
  await tellOut()
  say.step(`${node.name} tells balancers to send nobody: ${seconds} s for them to hear it`)
  await sleep(seconds * 1000)
  await moveApps()
  await capture(docker('node', 'update', '--availability', 'drain', node.id))
  say.done(`${node.name} has no instance, and balancers send it nobody: it may be switched off`)
  return node
}

/** Gives a node that was taken out its visitors back; instances come to it with the next deploy. */
export async function fillNode(host: string) {
  swarmAddress()
  const node = await nodeNamed(host)
  const labels = OUT in node.labels ? ['--label-rm', OUT] : []
  await capture(docker('node', 'update', '--availability', 'active', ...labels, node.id))
  await tellOut()
  say.done(`${node.name} is in again; the next deploy of each app runs there, too`)
}

/** Takes a node out of the Swarm that `drainNode` has emptied, or that is lost for good. */
export async function forgetNode({ id, name, host, isUp, isManager }: Node, { project }: Stack) {
  if (isManager) await capture(docker('node', 'demote', id))
  if (isUp) {
    const engine = await engineOf(host)
    const ids = (
      await capture(docker('ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${project}`), {
        engine,
      })
    )
      .split('\n')
      .filter(Boolean)
    if (ids.length > 0) await capture(docker('rm', '--force', ...ids), { engine })
    await capture(docker('swarm', 'leave', '--force'), { engine, what: `taking ${name} out of the Swarm` })
  }
  for (let tries = 30; ; tries -= 1) {
    const { code, stderr } = await attempt(docker('node', 'rm', '--force', id))
    if (code === 0) break
    if (tries === 0) throw new Failure(`the managers do not forget ${name}: ${stderr.trim()}`)
    await sleep(1000)
  }
  await tellOut()
  say.done(`${name} has left`)
}
