// What setup.ts --check asks the nodes of a Swarm.
import { openStack } from '../docker/stack.ts'
import { DB_NODE, isSwarm, listNodes, type Node, swarmAddress } from '../docker/swarm.ts'
import { readNodes } from '../status/nodes_status.ts'
import { messageOf } from '../system/errors.ts'
import { loadSettings } from '../system/settings.ts'
import { cronFile, nodeCronText } from './cron.ts'
import { bad, type Finding } from './findings.ts'
import { runOn } from './node_files.ts'
import { type NodeFacts, nodesFindings } from './node_findings.ts'
import { type NginxWanted, readBehind, readNginxWanted } from './node_nginx.ts'
import { networkMtu } from './node_networks.ts'

/** Whoever is to be a node reaches the db node by these (tcp). */
const PORTS = ['2377', '7946']

// A line each. To see the certificate of who asks the registry needs a whole question.
export const FACTS = `date +%s; df --output=avail -B1 /var/lib/docker 2>/dev/null | tail -n 1 | grep . || echo 0
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
cat "/sys/class/net/$device/mtu"
[ "$(cat "$2" 2>/dev/null)" = "$3" ] && grep -qxE 'crond?' /proc/[0-9]*/comm 2>/dev/null && echo yes || echo no`

/** milliseconds: more than all that is tried there in vain; a disk that is gone lets nobody answer */
const PATIENCE = 40_000

const factsOf = async (node: Node, wanted: NginxWanted): Promise<NodeFacts> => {
  const host = node.isHere ? undefined : node.host
  const own = { name: node.name, host: node.labels[DB_NODE] === 'true' ? undefined : node.host }
  try {
    const asked = Date.now()
    const { COMPOSE_PROJECT_NAME: project } = loadSettings()
    const words = [swarmAddress() ?? '', cronFile(project, 'node'), nodeCronText(project).trimEnd()]
    const signal = AbortSignal.timeout(PATIENCE)
    const said = await runOn(host, `asking for ${PATIENCE / 1000} s at most how it is`, FACTS, words, { signal })
    const [clock = '', free = '', found, ports = '', mtu, starts] = said.split('\n').map(line => line.trim())
    const registry = found === 'good' || found === 'refused' ? found : 'unreached'
    const closed = ports.split(' ').filter(Boolean)
    // It has answered at some time between the two.
    const [least, most] = [asked / 1000 - 1, Date.now() / 1000]
    const now = Number(clock)
    const ahead = now > most ? now - most : Math.min(now - least, 0)
    const behind = host === undefined ? [] : await readBehind(node, wanted, signal)
    return { ...own, ahead, free: Number(free), registry, closed, mtu: Number(mtu), behind, starts: starts === 'yes' }
  } catch (silent) {
    return { ...own, silent, ahead: 0, free: 0, registry: 'unreached', closed: [], mtu: 0, behind: [], starts: true }
  }
}

/** Looks at all nodes; of one server there is nothing to say. */
export async function lookAtNodes(): Promise<Finding[]> {
  if (!isSwarm()) return []
  try {
    const nodes = await listNodes()
    const wanted = await readNginxWanted()
    const facts = await Promise.all(nodes.filter(({ isUp }) => isUp).map(node => factsOf(node, wanted)))
    const stack = await openStack()
    return nodesFindings(await readNodes(stack), facts, await networkMtu(stack.project))
  } catch (error) {
    return [bad(messageOf(error))]
  }
}
