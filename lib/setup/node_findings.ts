// What is wrong with the nodes of a Swarm, by what they say of themselves.
import type { NodeState } from '../status/nodes_status.ts'
import { detailsOf, messageOf } from '../system/errors.ts'
import { bad, type Finding, unless, warning } from './findings.ts'
import { isUnderstood } from './which_node.ts'

/** What a node says of itself. */
export interface NodeFacts {
  name: string
  /** what ssh knows it by; undefined: the db node, which is never joined */
  host: string | undefined
  /** why nothing of this is known */
  silent?: unknown
  /** seconds that its clock is ahead of this machine's */
  ahead: number
  /** bytes that are free where its engine keeps images */
  free: number
  /** whether it reaches the registry, and the certificates of both are taken */
  registry: 'good' | 'refused' | 'unreached'
  /** the ports of the db node that it does not reach */
  closed: string[]
  /** the bytes that a packet to the other nodes may have */
  mtu: number
  /** what its nginx has as it was before (readBehind); of this machine's nothing is said */
  behind: string[]
  /** whether cron starts what its engine could not, after a power cut */
  starts: boolean
}

/** bytes that a packet grows by on its way from node to node */
const ENVELOPE = 50

/** seconds: certificates of the Swarm and times in logs bear more, people who compare them do not */
const MOST_AHEAD = 2
const LEAST_FREE = 5e9

/** What is wrong with the nodes, by what the managers and they themselves say. */
export function nodesFindings(
  nodes: Pick<NodeState, 'name' | 'roles' | 'engineVersion' | 'trouble' | 'isOut'>[],
  facts: NodeFacts[],
  /** the bytes that a packet of the apps may have */
  mtu: number,
): Finding[] {
  const versions = [...new Set(nodes.map(({ engineVersion }) => engineVersion))]
  const managers = nodes.filter(({ roles }) => roles.some(role => role === 'leader' || role === 'manager'))
  const findings = [
    ...managers.flatMap(({ name, roles, engineVersion }) => {
      const newer = managers.filter(it => !isUnderstood(it.engineVersion, engineVersion))
      if (newer.length === 0) return []
      const said = `${newer.map(it => `${it.name} (Docker ${it.engineVersion})`).join(', ')} can start nothing`
      const hint = `bring Docker on ${name} to 23 or later, too`
      return roles.includes('leader')
        ? [bad(`${said}: the leader, ${name} (${engineVersion}), does not know what that asks`, hint)]
        : [
            warning(
              `${said} when ${name} (${engineVersion}) becomes the leader, which does not know what that asks`,
              `${hint}; until then: docker node demote ${name}`,
            ),
          ]
    }),
    ...nodes.flatMap(({ name, trouble }) => (trouble === null ? [] : [bad(`${name}: ${trouble}`)])),
    ...nodes.flatMap(({ name, isOut }) =>
      isOut
        ? [warning(`${name} is taken out`, `tsx scripts/setup.ts --undrain ${name} gives it its visitors back`)]
        : [],
    ),
    ...(versions.length > 1 ? [warning(`the nodes have different versions of Docker: ${versions.join(', ')}`)] : []),
    ...(managers.length % 2 === 0
      ? [
          warning(
            `${managers.length} managers: when one is lost, nothing can be changed`,
            'one or three of them (setup.ts --join <host> --manager)',
          ),
        ]
      : []),
    ...facts.flatMap(({ name, silent, ahead, free, registry, closed, mtu: most, behind, starts, host }): Finding[] => {
      const join = `tsx scripts/setup.ts --join ${host}`
      if (silent !== undefined)
        return [bad(`${name} does not say how it is: ${messageOf(silent)}`, detailsOf(silent).hint)]
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
          ? [
              warning(
                `${name} has ${(free / 1e9).toFixed(1)} GB left for images`,
                // Of those on the db node some are releases that one may want to go back to.
                host === undefined
                  ? 'docs/troubleshooting.md, "The disk is full"'
                  : `ssh ${host} docker image prune --all`,
              ),
            ]
          : []),
        ...(registry === 'unreached' ? [bad(`${name} does not reach the registry (port 5000 of the db node)`)] : []),
        ...(registry === 'refused'
          ? [
              bad(
                `${name} and the registry do not take each other's certificate`,
                host === undefined ? 'tsx scripts/setup.ts --swarm, with its address again' : `${join} brings it`,
              ),
            ]
          : []),
        ...(closed.length > 0
          ? [bad(`${name} does not reach the db node by ${closed.join(' and ')} (tcp)`, 'is there a firewall between?')]
          : []),
        ...(behind.length > 0
          ? [
              warning(
                `nginx of ${name} has something of before: ${behind.join(', ')}`,
                `${join} brings it; for a setting it starts nginx there again: ` +
                  `--drain ${name} before, --undrain ${name} after, and no request is lost`,
              ),
            ]
          : []),
        ...(starts
          ? []
          : [
              warning(
                `after a power cut nobody starts nginx on ${name}: cron does not run there, or lacks its entry`,
                host === undefined
                  ? 'tsx scripts/setup.ts --swarm, with its address again, makes it'
                  : `${join} makes it`,
              ),
            ]),
        ...(most < mtu + ENVELOPE
          ? [
              bad(
                `${name} sends at most ${most} bytes in a packet, and the network of the Swarm needs ` +
                  `${mtu + ENVELOPE}: large answers get lost`,
                `let its interface take ${mtu + ENVELOPE} (its MTU); or --one-server, and --swarm again, which ` +
                  'heeds it',
              ),
            ]
          : []),
      ]
    }),
  ]
  return unless(`${nodes.length} nodes, Docker ${versions[0]}`, findings)
}
