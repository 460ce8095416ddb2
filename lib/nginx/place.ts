// Where an instance runs, for whoever is to run a program in it.
import type { Instance } from '../docker/containers.ts'
import { listNodes } from '../docker/swarm.ts'
import { engineOf } from '../ssh/engines.ts'
import { Failure } from '../system/errors.ts'

/** The container of an instance, and its engine (RunOptions). Throws a Failure when its node is not reached. */
export async function containerOf(
  instance: Instance,
): Promise<{ id: string; name: string; engine: string | undefined }> {
  const { id, name, task, engine } = instance
  if (task === undefined) return { id, name, engine }
  const node = (await listNodes()).find(it => it.id === task.node)
  if (!node || task.container === undefined) throw new Failure(`${name} is not running any more`)
  return { id: task.container, name, engine: node.isHere ? undefined : await engineOf(node.host) }
}
