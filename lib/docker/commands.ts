// Argument lists for Docker and Docker Compose; nothing is run here.
import { join } from 'node:path'
import { root } from '../system/checkout.ts'

export const COMPOSE_FILE = join(root, 'docker-compose.yml')

/** Compose reads this file beside docker-compose.yml by itself. */
export const PINS_FILE = join(root, 'docker-compose.override.yml')

export const docker = (...words: string[]) => ['docker', ...words]

/** `docker compose` on the stack of this checkout, with the given files in their order. */
export const compose = (files: string[], ...words: string[]) =>
  docker('compose', '--project-directory', root, ...files.flatMap(file => ['--file', file]), ...words)

export const composeConfig = (files: string[]) => compose(files, 'config', '--format', 'json')

/**
 * Makes one more instance beside those that are there, and touches none of them; it is not started. Not `up`: that
 * waits for other services in steps of half a second, and with --no-deps Compose 2.26 gives the container another
 * configuration hash, so that the next plain `docker compose up -d` would recreate it.
 */
export const composeAdd = (files: string[], service: string, instances: number) =>
  compose(files, 'create', '--no-build', '--no-recreate', '--scale', `${service}=${instances}`, service)

/** Runs a command once in a new container of the service, without a terminal. */
export const composeRunOnce = (files: string[], service: string, command: string[]) =>
  compose(files, 'run', '--rm', '--no-deps', '--no-TTY', '--quiet-pull', service, ...command)

const filters = (pairs: Record<string, string>) =>
  Object.entries(pairs).flatMap(([name, value]) => ['--filter', `${name}=${value}`])
const labels = (wanted: string[]) => wanted.flatMap(label => ['--filter', `label=${label}`])

/** The ids of all containers, running or not, that carry every one of these labels. */
export const containerIds = (...wanted: string[]) => docker('ps', '--all', '--quiet', '--no-trunc', ...labels(wanted))

export const inspect = (ids: string[]) => docker('inspect', '--type', 'container', ...ids)

/** What happens to containers with all of these labels, as lines of JSON, from a time (in seconds) on. */
export const events = (wanted: string[], sinceSeconds: number) =>
  docker(
    'events',
    '--since',
    String(sinceSeconds),
    '--format',
    '{{json .}}',
    ...labels(wanted),
    ...filters({ type: 'container' }),
  )

export const logs = (id: string, ...words: string[]) => docker('logs', ...words, id)

/** What the last health checks of a container printed. */
export const healthLog = (id: string) =>
  docker('inspect', '--format', '{{with .State.Health}}{{range .Log}}{{println .Output}}{{end}}{{end}}', id)

export const exec = (id: string, ...command: string[]) => docker('exec', id, ...command)

export const start = (id: string) => docker('start', id)

/** One order to the engine: whoever gives it may die, and the container is started again all the same. */
export const restart = (id: string) => docker('restart', id)

export const stop = (id: string) => docker('stop', id)

export const removeContainers = (ids: string[]) => docker('rm', '--force', '--volumes', ...ids)

export const images = (repository: string) =>
  docker('image', 'ls', '--no-trunc', '--format', '{{json .}}', ...filters({ reference: repository }))

export const inspectImages = (names: string[]) => docker('image', 'inspect', ...names)

export const removeImage = (name: string) => docker('image', 'rm', name)
