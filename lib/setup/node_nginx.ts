// nginx of another node of a Swarm: its files, and what it has of before.
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { readAnswer } from '../docker/answers.ts'
import { composeConfig, docker } from '../docker/commands.ts'
import { listIds } from '../docker/containers.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { configOf, readConfig, type StackConfig } from '../docker/stack_config.ts'
import type { Node } from '../docker/swarm.ts'
import { engineOf } from '../ssh/engines.ts'
import { root } from '../system/checkout.ts'
import { attempt, capture } from '../system/run.ts'
import { runOn, withArchive } from './node_files.ts'

/**
 * What is no longer here stays there: nothing reads it, but for the scripts and styles of former releases, and what is
 * run at each start ($2: what is to be). That goes last: an nginx that starts when the line was cut has its settings.
 * `live` is what nginx here is told.
 */
export const UNPACK = `set -eu; mkdir -p "$1/nginx/live"; cd /; tar -xpf - --no-same-owner
for it in "$1"/nginx/start/*; do case " $2 " in *" \${it##*/} "*) ;; *) rm -rf "$it" ;; esac; done`

/** Where nginx's files lie: all that its container only reads. What it writes, its logs, stays where it is. */
export function nginxPaths({ services }: StackConfig) {
  const mounted = (services.nginx?.volumes ?? []).filter(({ read_only }) => read_only === true)
  return [join(root, 'nginx'), ...mounted.map(({ source = '/dev/null' }) => source)]
    .map(path => resolve(root, path))
    .filter(path => path !== '/dev/null' && existsSync(path))
}

/** Brings nginx's files to a host, to where they lie here. */
export async function sendNginx(host: string) {
  const config = await readConfig(composeFiles())
  const words = [
    '-C',
    '/',
    `--exclude=${join(root, 'nginx', 'live').slice(1)}/*`,
    ...new Set(nginxPaths(config).map(path => path.slice(1))),
  ]
  const started = readdirSync(join(root, 'nginx', 'start')).join(' ')
  await withArchive(words, from => runOn(host, "nginx's files", UNPACK, [root, started], { from }))
}

// What a deploy brings, or nginx writes by itself, is told and asked for in other ways (nginx/follow.js).
const BROUGHT = ['live', 'assets', 'acme'].flatMap(name => ['!', '-path', join(root, 'nginx', name, '*')])

/** What Compose is told to start nginx of another node with. */
export function otherNginx(node: string) {
  return { SWARM_ROLE: 'other', SWARM_NODE: node }
}

/** The settings that a container was not started with as they are, by name; `env` is what it was, as NAME=value. */
export function behindOf(wanted: Record<string, string | null>, env: string[]) {
  return Object.entries(wanted).flatMap(([name, value]) => (env.includes(`${name}=${value ?? ''}`) ? [] : [name]))
}

/** What nginx of another node is to have. */
export interface NginxWanted {
  project: string
  /** of its files, as sha256sum prints them */
  sums: string
  /** the settings that it is started with, but for the id of its node */
  environment: Record<string, string | null>
}

/** Reads that here, for all nodes. Throws a Failure. */
export async function readNginxWanted(): Promise<NginxWanted> {
  const config = configOf(await attempt(composeConfig(composeFiles()), { env: otherNginx('') }))
  const sums = await capture(['find', ...nginxPaths(config), '-type', 'f', ...BROUGHT, '-exec', 'sha256sum', '{}', '+'])
  return { project: config.name, sums, environment: config.services.nginx?.environment ?? {} }
}

/**
 * What nginx of another node has as it was before: files, and the names of settings; sendNginx and a start would bring
 * them. Throws a Failure when the node does not say.
 */
export async function readBehind({ id, host }: Node, { project, sums, environment }: NginxWanted, signal: AbortSignal) {
  const script = 'sha256sum --check --status - && echo same || echo other'
  const files = await runOn(host, "looking at nginx's files", script, [], { input: `${sums}\n`, signal })
  const engine = await engineOf(host)
  const [nginx] = await listIds(project, 'nginx', engine)
  // That it has none is said elsewhere.
  const said =
    nginx === undefined
      ? '[]'
      : await capture(docker('inspect', '--format', '{{json .Config.Env}}', nginx), { engine, signal })
  const env = readAnswer(v.array(v.string()), said, 'docker inspect')
  const wanted = nginx === undefined ? {} : { ...environment, ...otherNginx(id) }
  return [...(files === 'other' ? ['files in nginx/, or those that .env names'] : []), ...behindOf(wanted, env)]
}
