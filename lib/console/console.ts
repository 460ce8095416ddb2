// The console of an app, in its live instance.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { type Instance, isHealthy, listInstances } from '../docker/containers.ts'
import { readLiveFile, sendsTo } from '../nginx/live.ts'
import { openIn, type Session } from '../docker/exec_session.ts'
import { type App, appFor, type Stack } from '../docker/stack.ts'

/**
 * The app whose console is meant: that of a repository, or the only one that has a console. Throws a Failure (64) when
 * there is none.
 */
export function appWithConsole(stack: Stack, repository: string | undefined): App {
  const app =
    repository === undefined ? stack.apps.find(({ console }) => console.length > 0) : appFor(stack, repository)
  if (app && app.console.length > 0) return app
  throw usage(
    `${app?.repository ?? 'no app'} has ${app ? 'no' : 'a'} console`,
    'the label avril.console in docker-compose.yml names the command that opens one',
  )
}

/**
 * The instance that nginx sends requests to; of several the newest that is healthy. Throws a Failure (69) when none
 * runs.
 */
export async function liveInstance({ project }: Stack, { service }: App): Promise<Instance> {
  const running = (await listInstances(project, service)).filter(({ running, oneOff }) => running && !oneOff)
  const upstreams = readLiveFile(service)
  const live = running.filter(instance => upstreams.length === 0 || sendsTo(upstreams, instance))
  const instance = live.findLast(isHealthy) ?? live.at(-1)
  if (instance) return instance
  throw new Failure(`no live instance of ${service} is running`, {
    exitCode: EXIT.unreachable,
    hint: 'scripts/status.ts shows what runs; docker compose up -d starts what is stopped',
  })
}

/** Opens it: a program of its own beside the one that serves, or a shell of that one. */
export function openConsole(instance: Pick<Instance, 'id' | 'engine'>, session: Session, words: string[]) {
  return openIn(
    instance,
    session,
    [],
    'sh',
    '-c',
    readFileSync(join(import.meta.dirname, 'console.sh'), 'utf8'),
    'console',
    ...words,
  )
}
