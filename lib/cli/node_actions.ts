// What setup.ts does to the nodes of a Swarm.
import { DEFAULTS, openDeploy } from '../deploy/deploy.ts'
import { readPins } from '../docker/release_pins.ts'
import { openStack } from '../docker/stack.ts'
import { beginSwarm, drainNode, fillNode, forgetNode, joinNode, nodeNamed } from '../setup/nodes.ts'
import { say } from '../system/progress.ts'
import type { NODE_ACTIONS } from './setup_options.ts'

/** Seconds in which balancers ask /healthcheck, and hear that a node is taken out. */
const HEARD = 30

// Their instances are replaced: none of the new ones is on a node that is being taken out.
const moveApps = async () => {
  const stack = await openStack()
  for (const app of stack.apps) {
    if (readPins()[app.service] === undefined) continue
    say.step(`${app.repository}: its instances move`)
    const request = { branch: undefined, to: undefined, rollback: false, dryRun: false, again: true }
    const observation = { ...DEFAULTS.observation, seconds: 0 }
    const options = { ...DEFAULTS, ifChange: false, wait: true, probation: undefined, pause: false, observation }
    const deploy = await openDeploy(stack, [app], request, options)
    try {
      await deploy.execute()
    } finally {
      await deploy.dispose()
    }
  }
}

const leave = async (name: string) => {
  const node = await nodeNamed(name)
  if (node.isUp) await drainNode(name, HEARD, moveApps)
  else say.warn(`${node.name} is not heard: it is forgotten, and what ran there runs elsewhere already`)
  await forgetNode(node, await openStack())
}

/** Does one of the actions that setup.ts has for nodes. Throws a Failure. */
export async function actOnNode(
  action: (typeof NODE_ACTIONS)[number],
  word: string,
  { manager }: { manager: boolean },
) {
  if (action === 'swarm') await beginSwarm(word)
  else if (action === 'join') await joinNode(word, { manager })
  else if (action === 'drain') await drainNode(word, HEARD, moveApps)
  else if (action === 'fill') await fillNode(word)
  else await leave(word)
}
