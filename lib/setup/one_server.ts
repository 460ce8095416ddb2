// A Swarm becomes one server again: this machine, which has the data. What was killed is gone on with.
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { compose, docker, removeContainers } from '../docker/commands.ts'
import { baseFiles, linkReleases } from '../docker/compose_files.ts'
import { type Instance, listContainers, listIds } from '../docker/containers.ts'
import { joinNetworks } from '../docker/join_networks.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { openStack, type Stack } from '../docker/stack.ts'
import { DB_NODE, isSwarm, listNodes, setSwarm, swarmAddress } from '../docker/swarm.ts'
import { usage } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, show } from '../system/run.ts'
import { loadSettings } from '../system/settings.ts'
import { dropCertificates, dropFiles } from './node_files.ts'
import { isOfSwarm } from './node_networks.ts'
import { forgetNode, restartNginx, takeOut } from './nodes.ts'

// nginx is left where it is until it is started again: another network would move its ports, and cut who is connected.
const takeHome = async ({ project, services, apps }: Stack) => {
  const isMoved = ({ service, oneOff, task }: Instance) =>
    !oneOff && task === undefined && service !== 'nginx' && !apps.some(it => it.service === service)
  const found = (await listContainers(project)).filter(isMoved)
  const names = ['nginx', ...found.map(({ service }) => service)].filter(it => services.includes(it))
  // Makes the networks, where they are not there any more; what is there is not touched.
  await capture(compose(baseFiles(false), 'create', '--no-build', '--no-recreate', ...new Set(names)))
  await joinNetworks(baseFiles(false), found)
}

const dropRegistry = async ({ project }: Stack, address: string) => {
  const ids = await listIds(project, 'registry')
  if (ids.length > 0) await capture(removeContainers(ids))
  await attempt(docker('volume', 'rm', `${project}_registry`))
  await attempt(docker('network', 'rm', `${project}_registry`))
  dropCertificates(address)
}

const leaveNetworks = async (project: string) => {
  for (const { id, name, addresses } of await listContainers(project))
    for (const network of Object.keys(addresses).filter(it => isOfSwarm(project, it)))
      await capture(docker('network', 'disconnect', network, id), { what: `taking ${name} out of ${network}` })
  for (const network of await networksLeft(project)) await capture(docker('network', 'rm', network))
}

// The last that goes, whatever .env says by then.
const networksLeft = async (project: string) => {
  const listed = await capture(docker('network', 'ls', '--format', '{{.Name}}'))
  return listed.split('\n').filter(it => isOfSwarm(project, it))
}

/**
 * Makes this machine the only server again. `moveApps` replaces the instances of the apps by containers of it, under
 * the lock that is held here; the other nodes leave; last nginx is started again. Throws a Failure; run again it goes
 * on.
 */
export async function endSwarm(seconds: number, moveApps: (stack: Stack) => Promise<unknown>) {
  const { COMPOSE_PROJECT_NAME: project } = loadSettings()
  if (!isSwarm() && (await networksLeft(project)).length === 0) return say.done('this site has one server')
  const lock = await takeDeployLock(true)
  try {
    const address = swarmAddress()
    const stack = { ...(await openStack(baseFiles(false))), leaves: true }
    if (address !== undefined) {
      const nodes = await listNodes()
      const others = nodes.filter(({ isHere }) => !isHere)
      const db = nodes.find(({ labels }) => labels[DB_NODE] === 'true')
      if (db?.isHere === false) throw usage(`the data are on ${db.name}`, 'run this there: it is the server that stays')
      await takeOut(others, seconds)
      await takeHome(stack)
      await moveApps(stack)
      for (const node of others) await forgetNode(node, stack)
      await dropRegistry(stack, address)
      await dropFiles()
      setSwarm(undefined)
    }
    linkReleases()
    await restartNginx('nginx, which is the only one from now on')
    await show(compose(composeFiles(), '--progress', 'plain', 'up', '--detach', '--no-build', '--wait'), {
      what: 'docker compose up',
    })
    await leaveNetworks(project)
    say.done('this site has one server')
    // Docker 20.10 to 28 forget the names of all containers, also of those in other networks.
    say.detail(
      'its engine stays the only node of an empty Swarm. Were it to leave that, no container would find another ' +
        'by its name until each is started again: docker swarm leave --force; docker compose restart',
    )
  } finally {
    await lock.dispose()
  }
}
