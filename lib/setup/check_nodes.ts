// What setup.ts --check says of the nodes of a Swarm.
import { openStack } from '../docker/stack.ts'
import { isSwarm, listNodes, swarmAddress } from '../docker/swarm.ts'
import { type NodeState, readNodes } from '../status/nodes_status.ts'
import { messageOf } from '../system/errors.ts'
import { bad, type Finding, unless, warning } from './findings.ts'
import { runOn } from './node_files.ts'
import { networkMtu } from './node_networks.ts'

/** What a node says of itself. */
export interface NodeFacts {
  name: string
  /** seconds that its clock is ahead of this machine's; undefined: it was not reached */
  ahead: number | undefined
  /** bytes that are free where its engine keeps images */
  free: number
  /** whether it reaches the registry, and the certificates of both are taken */
  registry: 'good' | 'refused' | 'unreached'
  /** the ports of the db node that it does not reach */
  closed: string[]
  /** the bytes that a packet to the other nodes may have */
  mtu: number
}

/** Whoever is to be a node reaches the db node by these (tcp). */
const PORTS = ['2377', '7946']

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
    ...facts.flatMap(({ name, ahead, free, registry, closed, mtu: most }): Finding[] => {
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
        ...(registry === 'unreached' ? [bad(`${name} does not reach the registry (port 5000 of the db node)`)] : []),
        ...(registry === 'refused'
          ? [bad(`${name} and the registry do not take each other's certificate`, `setup.ts --join ${name} brings it`)]
          : []),
        ...(closed.length > 0
          ? [bad(`${name} does not reach the db node by ${closed.join(' and ')} (tcp)`, 'is there a firewall between?')]
          : []),
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

// A line each. To see the certificate of who asks the registry needs a whole question.
const FACTS = `date +%s; df --output=avail -B1 /var/lib/docker 2>/dev/null | tail -n 1 | grep . || echo 0
reaches() { timeout 5 bash -c ': </dev/tcp/$0/$1' "$@" 2>/dev/null; }
folder=/etc/docker/certs.d/$1:5000
if ! reaches "$1" 5000; then echo unreached
elif printf 'GET /v2/ HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" | timeout 5 openssl s_client -quiet -verify_return_error \
  -connect "$1:5000" -CAfile "$folder/ca.crt" -cert "$folder/client.cert" -key "$folder/client.key" 2>/dev/null |
  grep -q '^HTTP/1.. 200'; then echo good
else echo refused; fi
for port in ${PORTS.join(' ')}; do reaches "$1" "$port" || printf '%s ' "$port"; done; echo
device=$(ip -o -4 addr show to "$1" | awk '{ print $2; exit }')
[ -n "$device" ] || device=$(ip -o route get "$1" | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
cat "/sys/class/net/$device/mtu"`

/** milliseconds: more than all that is tried there in vain; a disk that is gone lets nobody answer */
const PATIENCE = 40_000

const factsOf = async (name: string, host: string | undefined): Promise<NodeFacts> => {
  try {
    const asked = Date.now()
    const words = [swarmAddress() ?? '']
    const said = await runOn(host, 'asking how it is', FACTS, words, { signal: AbortSignal.timeout(PATIENCE) })
    const [clock = '', free = '', found, ports = '', mtu] = said.split('\n').map(line => line.trim())
    const registry = found === 'good' || found === 'refused' ? found : 'unreached'
    const closed = ports.split(' ').filter(Boolean)
    // It has answered at some time between the two.
    const [least, most] = [asked / 1000 - 1, Date.now() / 1000]
    const now = Number(clock)
    const ahead = now > most ? now - most : Math.min(now - least, 0)
    return { name, ahead, free: Number(free), registry, closed, mtu: Number(mtu) }
  } catch {
    return { name, ahead: undefined, free: 0, registry: 'unreached', closed: [], mtu: 0 }
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
    const stack = await openStack()
    return nodesFindings(await readNodes(stack), facts, await networkMtu(stack.project))
  } catch (error) {
    return [bad(messageOf(error))]
  }
}
