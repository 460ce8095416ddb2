// What setup.ts --check says of the nodes of a Swarm.
import { openStack } from '../docker/stack.ts'
import { isSwarm, listNodes } from '../docker/swarm.ts'
import { type NodeState, readNodes } from '../status/nodes_status.ts'
import { messageOf } from '../system/errors.ts'
import { uncheckedTexts } from '../system/settings.ts'
import { bad, type Finding, unless, warning } from './findings.ts'
import { runOn } from './node_files.ts'

/** What a node says of itself. */
export interface NodeFacts {
  name: string
  /** seconds that its clock is ahead of this machine's; undefined: it was not reached */
  ahead: number | undefined
  /** bytes that are free where its engine keeps images */
  free: number
  /** it reaches the registry */
  registry: boolean
}

/** seconds: certificates of the Swarm and times in logs bear more, people who compare them do not */
const MOST_AHEAD = 2
const LEAST_FREE = 5e9

/** What is wrong with the nodes, by what the managers and they themselves say. */
export function nodesFindings(
  nodes: Pick<NodeState, 'name' | 'roles' | 'engineVersion' | 'trouble' | 'isOut'>[],
  facts: NodeFacts[],
): Finding[] {
  const versions = [...new Set(nodes.map(({ engineVersion }) => engineVersion))]
  const managers = nodes.filter(({ roles }) => roles.some(role => role === 'leader' || role === 'manager')).length
  const findings = [
    ...nodes.flatMap(({ name, trouble }) => (trouble === null ? [] : [bad(`${name}: ${trouble}`)])),
    ...nodes.flatMap(({ name, isOut }) =>
      isOut ? [warning(`${name} is taken out`, `tsx scripts/setup.ts --fill ${name} gives it its visitors back`)] : [],
    ),
    ...(versions.length > 1 ? [warning(`the nodes have different versions of Docker: ${versions.join(', ')}`)] : []),
    ...(managers % 2 === 0
      ? [
          warning(
            `${managers} managers: when one is lost, nothing can be changed`,
            'one or three of them (setup.ts --join <host> --manager)',
          ),
        ]
      : []),
    ...facts.flatMap(({ name, ahead, free, registry }): Finding[] => {
      if (ahead === undefined) return [bad(`${name} is not reached by ssh`)]
      return [
        ...(Math.abs(ahead) > MOST_AHEAD
          ? [
              warning(
                `the clock of ${name} differs by ${Math.round(Math.abs(ahead))} s`,
                'is the time synchronised there?',
              ),
            ]
          : []),
        ...(free < LEAST_FREE
          ? [warning(`${name} has ${(free / 1e9).toFixed(1)} GB left for images`, 'docker image prune --all, there')]
          : []),
        ...(registry ? [] : [bad(`${name} does not reach the registry (port 5000 of the db node)`)]),
      ]
    }),
  ]
  return unless(`${nodes.length} nodes, Docker ${versions[0]}`, findings)
}

const FACTS = `date +%s; df --output=avail -B1 /var/lib/docker 2>/dev/null | tail -n 1 | grep . || echo 0
timeout 5 bash -c ': </dev/tcp/$0/5000' "$1" 2>/dev/null && echo yes || echo no`

const factsOf = async (name: string, host: string | undefined): Promise<NodeFacts> => {
  try {
    const asked = Date.now()
    const said = await runOn(host, 'asking how it is', FACTS, [uncheckedTexts().get('SWARM') ?? ''])
    const [clock = '', free = '', registry] = said.split('\n').map(line => line.trim())
    // It has answered at some time between the two.
    const [least, most] = [asked / 1000 - 1, Date.now() / 1000]
    const now = Number(clock)
    const ahead = now > most ? now - most : Math.min(now - least, 0)
    return { name, ahead, free: Number(free), registry: registry === 'yes' }
  } catch {
    return { name, ahead: undefined, free: 0, registry: false }
  }
}

/** Looks at all nodes; of one server there is nothing to say. */
export async function lookAtNodes(): Promise<Finding[]> {
  if (!isSwarm()) return []
  try {
    const nodes = await listNodes()
    const facts = await Promise.all(
      nodes.filter(({ isUp }) => isUp).map(({ name, host, isHere }) => factsOf(name, isHere ? undefined : host)),
    )
    return nodesFindings(await readNodes(await openStack()), facts)
  } catch (error) {
    return [bad(messageOf(error))]
  }
}
