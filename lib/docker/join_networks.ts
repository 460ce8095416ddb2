// Containers in more networks than they were made with: while a site becomes a Swarm, or one server again.
import { docker } from './commands.ts'
import type { Instance } from './containers.ts'
import { readConfig } from './stack_config.ts'
import { capture } from '../system/run.ts'

/**
 * Brings containers into the networks that these Compose files give their services (of these `isWanted`), by the names
 * that Compose would give them there. They stay in those that they are in.
 */
export async function joinNetworks(files: string[], containers: Instance[], isWanted = (_network: string) => true) {
  const { services, networks = {} } = await readConfig(files)
  for (const { id, name, service, rollout, addresses } of containers) {
    const names = Object.keys(services[service]?.networks ?? {}).flatMap(key => networks[key]?.name ?? [])
    for (const network of names.filter(it => !(it in addresses) && isWanted(it))) {
      const aliases = [service, ...(rollout === undefined ? [] : [rollout])].flatMap(it => ['--alias', it])
      await capture(docker('network', 'connect', ...aliases, network, id), { what: `bringing ${name} to ${network}` })
    }
  }
}
