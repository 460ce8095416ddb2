// The networks of a Swarm, in which its nodes' containers find each other.
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { docker } from '../docker/commands.ts'
import { attempt, capture } from '../system/run.ts'

const NETWORKS = { '': [], _back: ['--internal'], _files: ['--internal'] }

const networkName = (project: string, part: string) => `${project}_swarm${part}`

/** Whether a network is one of those that reach over all nodes. */
export function isOfSwarm(project: string, network: string) {
  return Object.keys(NETWORKS).some(part => networkName(project, part) === network)
}

const MTU = 'com.docker.network.driver.mtu'
/**
 * bytes that a packet may have where nobody says otherwise: in the network of a provider, and in one of a Swarm over
 * that
 */
const USUAL = { under: 1500, over: 1450 }

/** How many bytes a packet of the apps may have. */
export async function networkMtu(project: string) {
  const { stdout } = await attempt(
    docker('network', 'inspect', '--format', `{{index .Options "${MTU}"}}`, networkName(project, '')),
  )
  return Number(stdout.trim()) || USUAL.over
}

const deviceOf = (address: string) =>
  Object.entries(networkInterfaces()).find(([, found]) => found?.some(it => it.address === address))?.[0]

// Docker asks nobody what the machines' own network carries.
const mtuWords = (address: string) => {
  const device = deviceOf(address)
  if (device === undefined) return []
  const under = Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'))
  return under < USUAL.under ? ['--opt', `${MTU}=${under - (USUAL.under - USUAL.over)}`] : []
}

/**
 * Makes those that reach over all nodes, where they are not there yet; `address`: that of this machine in the one under
 * them.
 */
export async function makeNetworks(project: string, address: string) {
  for (const [part, words] of Object.entries(NETWORKS)) {
    const name = networkName(project, part)
    if ((await attempt(docker('network', 'inspect', name))).code === 0) continue
    await capture(
      docker('network', 'create', '--driver', 'overlay', '--attachable', ...mtuWords(address), ...words, name),
    )
  }
}
