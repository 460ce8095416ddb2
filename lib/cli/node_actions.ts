// What setup.ts does to the nodes of a Swarm.
import { DEFAULTS, openDeploy } from '../deploy/deploy.ts'
import { hasJournal } from '../deploy/journal.ts'
import { listInstances } from '../docker/containers.ts'
import { readPins } from '../docker/release_pins.ts'
import { type App, openStack, type Stack } from '../docker/stack.ts'
import { distantDb } from '../docker/swarm.ts'
import { usage } from '../system/errors.ts'
import { beginSwarm, drainNode, forgetNode, joinNode, nodeNamed, undrainNode } from '../setup/nodes.ts'
import { endSwarm } from '../setup/one_server.ts'
import { takeLock } from '../system/lock.ts'
import { say } from '../system/progress.ts'
import type { NODE_ACTIONS } from './setup_options.ts'

/** Seconds in which balancers ask /healthcheck, and hear that a node is taken out. */
const HEARD = 30

// Their instances are replaced: none of the new ones is on a node that is being taken out.
const moveApps = async (stack: Stack, locked = false) => {
  for (const app of stack.apps) {
    if (readPins()[app.service] === undefined) continue
    say.step(`${app.repository}: its instances move`)
    const request = { branch: undefined, to: undefined, rollback: false, dryRun: false, again: true }
    const observation = { ...DEFAULTS.observation, seconds: 0 }
    const options = {
      ...DEFAULTS,
      ifChange: false,
      wait: true,
      probation: undefined,
      pause: false,
      observation,
      locked,
    }
    const deploy = await openDeploy(stack, [app], request, options)
    try {
      await deploy.execute()
    } finally {
      await deploy.dispose()
    }
  }
}

const moveInSwarm = async () => moveApps(await openStack())

// One that was killed half-way is put in order by the next deploy; what has moved already is left alone.
const moveHome = async (stack: Stack) => {
  const instances = await listInstances(stack.project)
  const isThere = ({ service }: App) => instances.some(it => it.service === service && it.task !== undefined)
  await moveApps({ ...stack, apps: hasJournal() ? stack.apps : stack.apps.filter(isThere) }, true)
}

const leave = async (name: string) => {
  const node = await nodeNamed(name)
  if (node.isUp) await drainNode(name, HEARD, moveInSwarm)
  else say.warn(`${node.name} is not heard: it is forgotten, and what ran there runs elsewhere already`)
  await forgetNode(node, await openStack())
}

/** Does one of the actions that setup.ts has for nodes, one at a time. Throws a Failure, 75 beside another one. */
export async function actOnNode(
  action: (typeof NODE_ACTIONS)[number],
  word: string,
  { manager }: { manager: boolean },
) {
  const address = distantDb()
  if (address !== undefined)
    throw usage(
      `the db node of this Swarm is ${address}, and this is another machine`,
      `run it there: --on root@${address}`,
    )
  const lock = await takeLock('nodes.lock', () => 'another setup.ts, which changes the nodes', 'never')
  try {
    await carryOut(action, word, manager)
  } finally {
    await lock.dispose()
  }
}

const carryOut = async (action: (typeof NODE_ACTIONS)[number], word: string, manager: boolean) => {
  if (action === 'swarm') await beginSwarm(word)
  else if (action === 'join') await joinNode(word, { manager })
  else if (action === 'drain') await drainNode(word, HEARD, moveInSwarm)
  else if (action === 'undrain') await undrainNode(word)
  else if (action === 'one-server') await endSwarm(HEARD, moveHome)
  else await leave(word)
}
