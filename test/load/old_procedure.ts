// How this stack was updated before: what the rollout is compared with, by the benchmark and by the test that must see
// failures.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { capture } from '../../lib/system/run.ts'

export interface Target {
  /** the stack's folder */
  folder: string
  /** its Compose project name */
  project: string
  service: string
}

/** seconds since the call */
export interface TimedPhase {
  label: string
  from: number
  to: number
}

const compose = (target: Pick<Target, 'project'>, ...words: string[]) => [
  'docker',
  'compose',
  '--project-name',
  target.project,
  ...words,
]

/** The commands, in the order of the old script. `--wait` stands for its loop around `docker ps -f health=healthy`. */
export function oldCommands(target: Target, old: string) {
  const scale = (count: number) => ['up', '-d', '--no-deps', '--no-recreate', '--scale', `${target.service}=${count}`]
  return {
    start: [compose(target, ...scale(2), target.service)],
    healthy: [compose(target, ...scale(2), '--wait', target.service)],
    reload: [reloadCommand(target)],
    stop: [['docker', 'stop', old]],
    tidy: [['docker', 'rm', '-f', old], compose(target, ...scale(1), target.service)],
  }
}

/** What `nginx -s reload` sends, without the path of the configuration. */
export function reloadCommand(target: Pick<Target, 'project'>) {
  return compose(target, 'kill', '-s', 'HUP', 'nginx')
}

export function recreateCommand(target: Target) {
  return compose(target, 'up', '-d', '--force-recreate', '--no-deps', '--wait', target.service)
}

const timed = async (commands: Record<string, string[][]>, cwd: string) => {
  const start = performance.now()
  const phases: TimedPhase[] = []
  for (const [label, list] of Object.entries(commands)) {
    const from = (performance.now() - start) / 1000
    for (const command of list) await capture(command, { cwd })
    phases.push({ label, from, to: (performance.now() - start) / 1000 })
  }
  return phases
}

const runningInstance = async ({ folder, project, service }: Target) => {
  const labels = [`project=${project}`, `service=${service}`, 'oneoff=False']
  const filters = labels.flatMap(label => ['--filter', `label=com.docker.compose.${label}`])
  const listed = await capture(['docker', 'ps', '-q', '--no-trunc', ...filters], { cwd: folder })
  const ids = listed.split('\n').filter(id => id !== '')
  if (ids.length !== 1 || ids[0] === undefined)
    throw new Error(`${service} has ${ids.length} running instances, not one`)
  return ids[0]
}

/** Scale to two, wait for health, reload nginx, stop and remove the old one. */
export async function oldProcedure(target: Target) {
  return timed(oldCommands(target, await runningInstance(target)), target.folder)
}

/** What Compose does by itself: the old container goes before the new one comes. Ends when the new one is healthy. */
export function recreate(target: Target) {
  return timed({ recreate: [recreateCommand(target)] }, target.folder)
}

// What the former configuration did not have: it kept a name for five seconds, and left everything else to nginx's
// defaults.
const FORMER: Record<string, (text: string) => string> = {
  'nginx.conf': text =>
    text.replace(/(resolver 127\.0\.0\.11 valid=)\d+s/, '$15s').replace(/^ *keepalive_min_timeout .*\n/m, ''),
  'proxy_defaults.conf': text => text.replaceAll(/^proxy_(next_upstream\w*|connect_timeout) .*\n/gm, ''),
}

const rewrite = async (file: string, change: (text: string) => string) => {
  const before = await readFile(file, 'utf8')
  const after = change(before)
  if (after === before) throw new Error(`${file} is not as the former configuration is made from`)
  await writeFile(file, after)
  return () => writeFile(file, before)
}

/**
 * Lets nginx route as its former configuration did: by the service name, which Docker's DNS answers. Gives what puts it
 * back.
 */
export async function useServiceName(target: Target) {
  const folder = join(target.folder, 'nginx')
  const live = join(folder, 'live', `${target.service}.map`)
  const content = await readFile(live, 'utf8').catch(() => undefined)
  await rm(live, { force: true })
  const putBack: (() => Promise<void>)[] = []
  for (const [file, change] of Object.entries(FORMER)) putBack.push(await rewrite(join(folder, file), change))
  const reload = () => capture(reloadCommand(target), { cwd: target.folder })
  await reload()
  return async () => {
    for (const back of putBack) await back()
    if (content !== undefined) await writeFile(live, content)
    await reload()
  }
}
