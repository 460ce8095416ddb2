// The apps that use the database start anew after it was replaced: what they remember of it is of the former one.
import { docker, logs, restart } from './commands.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { type Instance, listInstances, readInstance } from './containers.ts'
import { attempt, capture } from '../system/run.ts'
import type { Stack } from './stack.ts'
import { type Watch, watchService } from './container_events.ts'
import { listTasks, serviceIds, tellManagers } from './swarm.ts'
import { sleep } from '../system/signals.ts'

const TIMEOUT = 300

/** The running instances of the apps that need a service. */
export async function usersOf({ project, apps }: Stack, service: string): Promise<Instance[]> {
  const names = new Set(apps.filter(({ needs }) => needs.includes(service)).map(app => app.service))
  return (await listInstances(project)).filter(
    ({ service, running, oneOff }) => running && !oneOff && names.has(service),
  )
}

/**
 * Restarts the instances of each service together, one service after another, and waits until all are healthy: nobody
 * is served by them meanwhile. Throws a Failure with the end of its log when one does not get healthy.
 */
export async function restartAll(stack: Stack, all: Instance[]) {
  const { project } = stack
  await restartTasks(stack, all)
  const instances = all.filter(({ task }) => task === undefined)
  for (const service of new Set(instances.map(it => it.service))) {
    const watch = watchService(project, service)
    try {
      const ends = await Promise.allSettled(
        instances.filter(it => it.service === service).map(it => restartOne(it, watch)),
      )
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    } finally {
      watch.stop()
    }
  }
}

// In a Swarm others take their place.
const restartTasks = async ({ project }: Stack, all: Instance[]) => {
  const former = all.filter(({ task }) => task !== undefined)
  for (const rollout of new Set(former.map(it => it.rollout))) {
    const { service = '' } = former.find(it => it.rollout === rollout) ?? {}
    const ids = await serviceIds(project, service, rollout)
    const update = ['--detach', '--quiet', '--force', '--update-order', 'stop-first', '--update-parallelism', '0']
    for (const id of ids) await tellManagers(docker('service', 'update', ...update, id))
    const missing = async () => {
      const now = (await listTasks(project, service)).filter(it => it.rollout === rollout && it.running)
      const fresh = now.filter(({ id }) => !former.some(it => it.id === id))
      return former.filter(it => it.rollout === rollout).length - fresh.length
    }
    for (const end = Date.now() + TIMEOUT * 1000; (await missing()) > 0; await sleep(500))
      if (Date.now() > end) throw new Failure(`${service} was not healthy ${TIMEOUT} s after its restart`)
  }
}

const restartOne = async ({ id, name }: Instance, watch: Watch) => {
  try {
    await capture(restart(id))
    const { started } = await readInstance(id)
    await watch.untilHealthy(id, name, TIMEOUT, Date.parse(started))
  } catch (error) {
    const { stdout, stderr } = await attempt(logs(id, '--tail', '15'))
    throw new Failure([messageOf(error), ...`${stdout}${stderr}`.trim().split('\n')].join('\n  '), { cause: error })
  }
}
