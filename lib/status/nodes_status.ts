// The machines of a Swarm, as status.ts shows them: what runs where, and who lags behind.
import type { Stack } from '../docker/stack.ts'
import { DB_NODE, listNodes, listTasks, type Node, OUT, WEB_NODE } from '../docker/swarm.ts'
import { askNginx, findNginx, findOthers, type Nginx } from '../nginx/container.ts'
import { readRoute } from '../nginx/live.ts'
import { messageOf } from '../system/errors.ts'

export interface NodeState {
  name: string
  /** what it is: the database's, a manager, the leader */
  roles: string[]
  engineVersion: string
  /** how many instances of which app run there */
  instances: Record<string, number>
  /** what is wrong with it, in words; null when nothing is */
  trouble: string | null
  isOut: boolean
}

const rolesOf = ({ labels, isLeader, isManager }: Node) => [
  ...(labels[DB_NODE] === 'true' ? ['database'] : []),
  ...(isLeader ? ['leader'] : []),
  ...(isManager && !isLeader ? ['manager'] : []),
]

/**
 * nginx/follow.js says it of a node that others may reach, but that does not reach the db node in the Swarm's network.
 */
const CUT_OFF = 'cut off'

// Another answer than that of the db node's: it has not heard of a switch, or has sent a release away by itself.
const lagOf = async (stack: Stack, first: Nginx, other: Nginx) => {
  try {
    for (const { service } of stack.apps) {
      const [wanted, found] = await Promise.all([first, other].map(it => readRoute(it, service)))
      if (JSON.stringify(wanted) !== JSON.stringify(found)) return `its nginx sends requests of ${service} elsewhere`
    }
    const { code, stdout } = await askNginx(other, '/unwell')
    return code === 0 && stdout === CUT_OFF ? 'its nginx hears nothing of that of the db node' : null
  } catch (error) {
    return `its nginx does not say who is live: ${messageOf(error)}`
  }
}

/** All nodes. Throws a Failure when this machine is no manager. */
export async function readNodes(stack: Stack): Promise<NodeState[]> {
  const [nodes, tasks] = await Promise.all([listNodes(), listTasks(stack.project)])
  const nginx = await findNginx(stack.project)
  const { missing } = await findOthers(stack.project)
  return Promise.all(
    nodes.map(async node => {
      const running = tasks.filter(it => it.running && it.task.node === node.id)
      const instances: Record<string, number> = {}
      for (const { service } of running) instances[service] = (instances[service] ?? 0) + 1
      const other = nginx?.others.find(it => it.node === node.name)
      const why = missing.find(it => it.node === node.name)?.why
      const lag = nginx && other ? await lagOf(stack, nginx, other) : null
      const unreached = why === undefined ? lag : `its nginx is not reached: ${why}`
      const trouble = node.isUp ? unreached : 'is not heard by the managers'
      return {
        name: node.name,
        roles: [...(node.labels[WEB_NODE] === 'true' ? ['web'] : []), ...rolesOf(node)],
        engineVersion: node.engineVersion,
        instances,
        trouble,
        isOut: node.labels[OUT] === 'true',
      }
    }),
  )
}
