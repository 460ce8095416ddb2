// Argument lists for Docker and Docker Compose; nothing is run here.
import { root } from '../system/checkout.ts'

export function docker(...words: string[]) {
  return ['docker', ...words]
}

/** `docker compose` on the stack of this checkout, with the given files in their order. */
export function compose(files: string[], ...words: string[]) {
  return docker('compose', '--project-directory', root, ...files.flatMap(file => ['--file', file]), ...words)
}

export function composeConfig(files: string[]) {
  // What a Swarm runs is no container of Compose (docker-compose.swarm.yml).
  const profile = files.some(file => file.endsWith('docker-compose.swarm.yml')) ? ['--profile', 'swarm'] : []
  return compose(files, ...profile, 'config', '--format', 'json')
}

/**
 * Makes one more instance beside those that are there, and touches none of them; it is not started. Not `up`: that
 * waits for other services in steps of half a second, and with --no-deps Compose 2.26 gives the container another
 * configuration hash, so that the next plain `docker compose up -d` would recreate it.
 */
export function composeAdd(files: string[], service: string, instances: number) {
  return compose(files, 'create', '--no-build', '--no-recreate', '--scale', `${service}=${instances}`, service)
}

/**
 * Runs a command once in a new container of the service, without a terminal; in another Compose project than .env's.
 */
export function composeRunOnce(files: string[], service: string, command: string[], project?: string) {
  const named = project === undefined ? [] : ['--project-name', project]
  return compose(files, ...named, 'run', '--rm', '--no-deps', '--no-TTY', '--quiet-pull', service, ...command)
}

const filters = (pairs: Record<string, string>) =>
  Object.entries(pairs).flatMap(([name, value]) => ['--filter', `${name}=${value}`])
const labels = (wanted: string[]) => wanted.flatMap(label => ['--filter', `label=${label}`])

/** The ids of all containers, running or not, that carry every one of these labels. */
export function containerIds(...wanted: string[]) {
  return docker('ps', '--all', '--quiet', '--no-trunc', ...labels(wanted))
}

export function inspect(ids: string[]) {
  return docker('inspect', '--type', 'container', ...ids)
}

/** What happens to containers with all of these labels, as lines of JSON, from a time (in seconds) on. */
export function events(wanted: string[], sinceSeconds: number) {
  return docker(
    'events',
    '--since',
    String(sinceSeconds),
    '--format',
    '{{json .}}',
    ...labels(wanted),
    ...filters({ type: 'container' }),
  )
}

export function logs(id: string, ...words: string[]) {
  return docker('logs', ...words, id)
}

/** What the last health checks of a container printed. */
export function healthLog(id: string) {
  return docker('inspect', '--format', '{{with .State.Health}}{{range .Log}}{{println .Output}}{{end}}{{end}}', id)
}

export function exec(id: string, ...command: string[]) {
  return docker('exec', id, ...command)
}

export function start(id: string) {
  return docker('start', id)
}

/** One order to the engine: whoever gives it may die, and the container is started again all the same. */
export function restart(id: string) {
  return docker('restart', id)
}

export function stop(id: string) {
  return docker('stop', id)
}

export function removeContainers(ids: string[]) {
  return docker('rm', '--force', '--volumes', ...ids)
}

export function images(repository: string) {
  return docker('image', 'ls', '--no-trunc', '--format', '{{json .}}', ...filters({ reference: repository }))
}

export function inspectImages(names: string[]) {
  return docker('image', 'inspect', ...names)
}

export function removeImage(name: string) {
  return docker('image', 'rm', name)
}
