// The machines of a Swarm: this one becomes the first of several, others join it, are taken out, and leave.
// Long, since each of these takes back or goes on with what another has begun.
import { closeSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { compose, docker } from '../docker/commands.ts'
import { baseFiles, linkReleases } from '../docker/compose_files.ts'
import { listContainers } from '../docker/containers.ts'
import { joinNetworks } from '../docker/join_networks.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { APP_NODE, checkTranslated } from '../docker/service_words.ts'
import { readConfig } from '../docker/stack_config.ts'
import { openStack, type Stack } from '../docker/stack.ts'
import {
  askManagers,
  DB_NODE,
  listNodes,
  type Node,
  OUT,
  setSwarm,
  SSH_HOST,
  swarmAddress,
  tellManagers,
  WEB_NODE,
} from '../docker/swarm.ts'
import { LIVE } from '../nginx/live.ts'
import { engineOf } from '../ssh/engines.ts'
import { root } from '../system/checkout.ts'
import { Failure, usage } from '../system/errors.ts'
import { replaceFile } from '../system/files.ts'
import { ownNetworks } from '../system/networks.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, failureOf, show } from '../system/run.ts'
import { loadSettings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { dropFiles, endDeadConnections, installNodeCron, makeCertificates, runOn, trustRegistry } from './node_files.ts'
import { otherNginx, sendNginx } from './node_nginx.ts'
import { isOfSwarm, makeNetworks } from './node_networks.ts'
import { outageDuring } from './outage.ts'
import { checkBind, checkFirst, checkJoining, pickNode, poolBeside, readOwnSwarm } from './which_node.ts'

const label = (node: string, labels: Record<string, string>) =>
  capture(
    docker(
      'node',
      'update',
      ...Object.entries(labels).flatMap(([key, value]) => ['--label-add', `${key}=${value}`]),
      node,
    ),
  )

// What runs goes on as it is, in the networks of before and in those of the Swarm.
const takeAlong = async (project: string) => {
  const containers = (await listContainers(project)).filter(({ oneOff }) => !oneOff)
  await joinNetworks(composeFiles(), containers, network => isOfSwarm(project, network))
}

const UP = ['--progress', 'plain', 'up', '--detach', '--no-build', '--wait']

/** seconds: until they are over, nobody has the ports, so not as many as for the end of websockets */
const GRACE = 5

/** Starts nginx again with what .env says by now, and says for how long nobody had its ports. Throws a Failure. */
export async function restartNginx(what: string) {
  say.step(`start: ${what}`)
  const words = [...UP, '--no-deps', '--timeout', String(GRACE), 'nginx']
  const seconds = await outageDuring(() => show(compose(composeFiles(), ...words), { what: 'starting nginx again' }))
  say.done(`nginx is up; for ${seconds.toFixed(1)} s nobody had its ports`)
}

/**
 * Makes this machine, which has a site, the first of a Swarm; its data stay where they are, and what runs goes on. Only
 * nginx is started again: the port is nobody's for some seconds. Throws a Failure.
 */
export async function beginSwarm(address: string) {
  checkFirst(address, await readOwnSwarm(), ownNetworks())
  checkBind(loadSettings())
  const before = await openStack()
  const { services } = await readConfig(baseFiles(false))
  for (const { service } of before.apps) checkTranslated(service, services[service] ?? {})
  const lock = await takeDeployLock(true)
  try {
    if ((await readOwnSwarm()).LocalNodeState !== 'active') {
      const pool = ['--default-addr-pool', poolBeside(ownNetworks())]
      await capture(docker('swarm', 'init', '--advertise-addr', address, ...pool), { what: 'docker swarm init' })
      say.done('this machine is the first node of a Swarm')
    } else say.detail('this machine is in a Swarm already, which is taken as it is')
    const { NodeID: own } = await readOwnSwarm()
    await label(own, { [WEB_NODE]: 'true', [APP_NODE]: 'true', [DB_NODE]: 'true' })
    await makeNetworks(before.project, address)
    await makeCertificates(address)
    await trustRegistry(address)
    await endDeadConnections()
    await installNodeCron()
    setSwarm(address)
    linkReleases()
    await takeAlong(before.project)
    await show(compose(composeFiles(), ...UP, 'registry'), { what: 'starting the registry' })
    await restartNginx('nginx, which says who is live to those of other nodes from now on')
    await show(compose(composeFiles(), ...UP), { what: 'docker compose up' })
  } finally {
    await lock.dispose()
  }
}

/** The node of a name, as ssh or the Swarm knows it. Throws a Failure (64) for any other, and for a name of two. */
export async function nodeNamed(host: string): Promise<Node> {
  return pickNode(await listNodes(), host)
}

const requireSwarm = () => {
  const address = swarmAddress()
  if (address !== undefined) return address
  throw usage(
    'this site has one server',
    'tsx scripts/setup.ts --swarm <address of this machine in the private network> makes it the first of several',
  )
}

/** Runs a script that it is sent, read as a whole: what that starts finds nothing of it to read. */
export const SENT = 'exec bash -c "$(cat)" sent "$@"'

const installEngine = async (host: string) => {
  const from = openSync(join(root, 'lib', 'docker', 'engine.sh'), 'r')
  try {
    await runOn(host, 'installing Docker', SENT, ['cron'], { from })
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
  const address = requireSwarm()
  checkBind(loadSettings())
  await openStack()
  say.step(`engine: Docker on ${host}`)
  await installEngine(host)
  const engine = await engineOf(host)
  const before = await readOwnSwarm(engine)
  checkJoining(host, before, await listNodes(), { manager })
  if (before.LocalNodeState !== 'active') {
    const role = manager ? 'manager' : 'worker'
    const token = await capture(docker('swarm', 'join-token', '--quiet', role))
    const own = await runOn(host, 'looking for its address', OWN_ADDRESS, [address])
    const words = ['--token', token, '--advertise-addr', own, `${address}:2377`]
    try {
      await capture(docker('swarm', 'join', ...words), {
        engine,
        what: `joining ${host} to the Swarm`,
        hint:
          'does it reach this machine by 2377 (tcp), 7946 (tcp, udp) and 4789 (udp), and has it the same time ' +
          '(date)?',
      })
    } finally {
      // Whoever has seen it in a list of processes can do nothing with it.
      const { code } = await attempt(docker('swarm', 'join-token', '--rotate', '--quiet', role))
      if (code !== 0)
        say.warn(`who has seen the token may join: docker swarm join-token --rotate ${role} makes a new one`)
    }
    say.done(`${host} is a ${role}`)
  }
  const { NodeID: id } = await readOwnSwarm(engine)
  await trustRegistry(address, host)
  await endDeadConnections(host)
  await installNodeCron(host)
  say.step(`nginx on ${host}`)
  await sendNginx(host)
  const nodes = await listNodes()
  const node = pickNode(nodes, id)
  if (manager && !node.isManager) await capture(docker('node', 'promote', id))
  await startNginx({ ...node, host })
  // Last: from here on a deploy counts on what is there.
  await label(id, { [WEB_NODE]: 'true', [APP_NODE]: 'true', [SSH_HOST]: host })
  for (const it of nodes.filter(other => other.host === host && other.id !== id))
    say.warn(`${host} was another node before: tsx scripts/setup.ts --leave ${it.id} forgets that one`)
  say.done(`${node.name} serves the site; the next deploy of each app runs there, too`)
}

/** seconds after which it ends by itself, should nobody be left to remove it */
const HELD = 600

/**
 * Has a worker know the networks of the Swarm while `work` starts nginx: Compose takes one for missing that no
 * container of the worker is in yet (https://github.com/docker/compose/issues/8996), also one that nginx is not in. The
 * engine asks the managers; that of 28 does not always, for a container that is in several.
 */
const knowingNetworks = async (engine: string | undefined, work: () => Promise<unknown>) => {
  const { name: project, services, networks = {} } = await readConfig(composeFiles())
  // What is left of it when this is killed goes with the node.
  const label = `com.docker.compose.project=${project}`
  const { image = '' } = services.nginx ?? {}
  const names = Object.values(networks).flatMap(it => (it?.external && it.name ? [it.name] : []))
  const holders: string[] = []
  try {
    for (const name of names) {
      const words = ['run', '--detach', '--rm', '--label', label, '--network', name, '--entrypoint', 'sleep']
      holders.push(
        await capture(docker(...words, image, String(HELD)), { engine, what: `reaching the network ${name}` }),
      )
    }
    await work()
  } finally {
    if (holders.length > 0) await attempt(docker('rm', '--force', ...holders), { engine })
  }
}

const startNginx = async ({ id, name, host, isManager }: Node) => {
  // One that is drained gives a container no network; whether balancers send somebody there is said elsewhere.
  await capture(docker('node', 'update', '--availability', 'active', id))
  const words = ['up', '--detach', '--no-deps', '--wait', 'nginx']
  const engine = await engineOf(host)
  const start = () =>
    show(compose(composeFiles(), '--progress', 'plain', ...words), {
      engine,
      env: otherNginx(id),
      what: `starting nginx on ${name}`,
    })
  await (isManager ? start() : knowingNetworks(engine, start))
}

/** Which nodes balancers are to leave alone; nginx reads it (nginx/follow.js). */
const tellOut = async () => {
  const out = (await listNodes()).filter(({ labels }) => labels[OUT] === 'true').map(({ id }) => id)
  const file = join(LIVE, 'out')
  if (out.length === 0) rmSync(file, { force: true })
  else replaceFile(file, `${JSON.stringify(out)}\n`)
}

/** Has balancers take these nodes out, and gives them so many seconds to hear it. */
export async function takeOut(nodes: Node[], seconds: number) {
  for (const { id } of nodes) await label(id, { [OUT]: 'true' })
  await tellOut()
  const names = nodes.filter(({ isUp }) => isUp).map(({ name }) => name)
  if (names.length === 0) return
  say.step(`${names.join(', ')}: balancers are told to send nobody there; ${seconds} s for them to hear it`)
  await sleep(seconds * 1000)
}

/**
 * Has balancers take a node out: its /healthcheck says 503 from now on, while it goes on serving who comes. Then the
 * instances on it are replaced by others elsewhere (`moveApps`), and after that it may be switched off. Throws a
 * Failure.
 */
export async function drainNode(host: string, seconds: number, moveApps: () => Promise<unknown>) {
  requireSwarm()
  const node = await nodeNamed(host)
  if (node.labels[DB_NODE] === 'true')
    throw usage(
      `${node.name} has the database: without it there is no site`,
      'docs/several-servers.md says how the data move',
    )
  await takeOut([node], seconds)
  try {
    await moveApps()
  } catch (error) {
    say.warn(`balancers send nobody to ${node.name}: run this again, or --undrain ${host} has them do so again`)
    throw error
  }
  await capture(docker('node', 'update', '--availability', 'drain', node.id))
  say.done(`${node.name} has no instance, and balancers send it nobody: it may be switched off`)
  return node
}

/** Gives a node that was taken out its visitors back; instances come to it with the next deploy. */
export async function undrainNode(host: string) {
  requireSwarm()
  const node = await nodeNamed(host)
  if (node.labels[DB_NODE] !== 'true') await startNginx(node)
  if (OUT in node.labels) await capture(docker('node', 'update', '--label-rm', OUT, node.id))
  await tellOut()
  say.done(`${node.name} is in again; the next deploy of each app runs there, too`)
}

// A node is one of the managers until they have agreed that it is none: were it to leave before, the last of two would
// wait for it for ever.
const beNoManager = async ({ id, name, isManager }: Node) => {
  if (isManager) {
    const words = docker('node', 'demote', id)
    const outcome = await askManagers(words)
    // Those that `--force-new-cluster` has left behind are none, and only the list of nodes says so still.
    const isNone = outcome.stderr.includes("can't find manager in raft memberlist")
    if (outcome.code !== 0 && !isNone) throw failureOf(words, outcome)
  }
  const isMember = docker('node', 'inspect', '--format', '{{if .ManagerStatus}}yes{{end}}', id)
  for (let tries = 100; (await tellManagers(isMember)) !== ''; tries -= 1) {
    if (tries === 0)
      throw new Failure(`${name} is still one of the managers`, {
        hint: 'more than half of them must be there without it: docker node ls; then run this again',
      })
    await sleep(300)
  }
}

/** Takes a node out of the Swarm that `drainNode` has emptied, or that is lost for good. */
export async function forgetNode(node: Node, { project }: Stack) {
  const { id, name, host, isUp } = node
  await beNoManager(node)
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
    await dropFiles(host)
    const words = docker('swarm', 'leave', '--force')
    const outcome = await attempt(words, { engine })
    // The managers hear some seconds later of one that has left: who was killed meanwhile runs this again.
    if (outcome.code !== 0 && !/not part of a swarm/i.test(outcome.stderr))
      throw failureOf(words, outcome, { what: `taking ${name} out of the Swarm` })
  } else
    say.warn(`on its disk are still the keys of the site's certificate and of the registry: docs/several-servers.md`)
  for (let tries = 30; ; tries -= 1) {
    const { code, stderr } = await attempt(docker('node', 'rm', '--force', id))
    if (code === 0) break
    if (tries === 0) throw new Failure(`the managers do not forget ${name}: ${stderr.trim()}`)
    await sleep(1000)
  }
  await tellOut()
  say.done(`${name} has left`)
}
