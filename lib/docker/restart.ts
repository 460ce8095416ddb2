// The apps that use the database start anew after it was replaced: what they remember of it is of the former one.
import { logs, restart } from './commands.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { type Instance, listInstances } from './containers.ts'
import { attempt, capture } from '../system/run.ts'
import type { Stack } from './stack.ts'
import { type Watch, watchService } from './container_events.ts'

const TIMEOUT = 300

/** The running instances of the apps that need a service. */
export async function usersOf({ project, apps }: Stack, service: string): Promise<Instance[]> {
  const names = new Set(apps.filter(({ needs }) => needs.includes(service)).map(app => app.service))
  return (await listInstances(project)).filter(
    ({ service, running, oneOff }) => running && !oneOff && names.has(service),
  )
}

/**
 * Restarts instances, one after another, and waits until each is healthy. Throws a Failure with the end of its log when
 * one does not get healthy.
 */
export async function restartAll({ project }: Stack, instances: Instance[]) {
  for (const instance of instances) {
    const watch = watchService(project, instance.service)
    try {
      await restartOne(project, instance, watch)
    } finally {
      watch.stop()
    }
  }
}

const restartOne = async (project: string, { id, name, service }: Instance, watch: Watch) => {
  try {
    await capture(restart(id))
    const started = (await listInstances(project, service)).find(it => it.id === id)?.started ?? ''
    await watch.untilHealthy(id, name, TIMEOUT, Date.parse(started))
  } catch (error) {
    const { stdout, stderr } = await attempt(logs(id, '--tail', '15'))
    throw new Failure([messageOf(error), ...`${stdout}${stderr}`.trim().split('\n')].join('\n  '), { cause: error })
  }
}
