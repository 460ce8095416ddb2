// The other side of ssh: whether it can be reached, and what is there.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { attempt } from '../system/run.ts'
import { distantDb } from '../docker/swarm.ts'
import { root } from '../system/checkout.ts'
import { isRecent, LEAST_NODE, loaderFor } from '../system/runtime.ts'
import { uncheckedTexts } from '../system/settings.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { HOST, NO_CONNECTION, ssh, unreachable } from '../ssh/commands.ts'

export interface Host {
  name: string
  /** of the scripts there */
  folder: string
  /** what stands between Node there and a script */
  loader: string[]
  /**
   * the last line of its history of deploys and of backups, and the deploy that is under way, as JSON; undefined
   * without one
   */
  deploy: string | undefined
  backup: string | undefined
  rollout: string | undefined
  /** what its login shell writes by itself before anything else; undefined as it should be */
  noise: string | undefined
}

const FOLDER = '/home/docker/avril-scripts'

const text = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8')

const unusable = (message: string, hint: string) => new Failure(message, { exitCode: EXIT.unreachable, hint })

/**
 * Where a command is to run: the host that was typed (without one DEPLOY_HOST, and on another node of a Swarm the db
 * node), and DEPLOY_PATH there. None needs a whole .env: a laptop may have none.
 */
export function hostPlace(typed: string | undefined) {
  const texts = uncheckedTexts()
  const db = distantDb()
  const host = typed ?? texts.get('DEPLOY_HOST') ?? (db && `root@${db}`)
  if (!host)
    throw usage(
      'no host is named',
      'name it (--on host), or set DEPLOY_HOST in .env: an entry of ~/.ssh/config, or user@host',
    )
  if (!HOST.test(host))
    throw usage(`${JSON.stringify(host)} cannot be the name of a host`, 'an entry of ~/.ssh/config, or user@host')
  return { host, folder: texts.get('DEPLOY_PATH') ?? FOLDER }
}

/** Of the files that make up the scripts; the same sum as in remote_facts.sh. */
const ownVersion = () => {
  const filesIn = (folder: string) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter(it => it.isFile())
      .map(it => join(it.parentPath, it.name))
  const hash = createHash('sha256')
  for (const file of [join(root, 'package-lock.json'), ...filesIn('lib'), ...filesIn('scripts')].toSorted())
    hash.update(readFileSync(file))
  return hash.digest('hex')
}

const checkNode = (host: string, version = '') => {
  const install =
    'install it there (https://nodejs.org). ssh runs no login shell: node must be in the PATH of `ssh HOST env`'
  if (version === '') throw unusable(`there is no Node on ${host}`, install.replace('HOST', host))
  if (!isRecent(version))
    throw unusable(
      `Node on ${host} is ${version}, and the scripts need ${LEAST_NODE.slice(1)} or later`,
      install.replace('HOST', host),
    )
}

/**
 * Connects; later calls share the connection. Throws a Failure (69) with the reason when that, the folder, or Node
 * there is missing.
 */
export async function openHost(typed: string | undefined): Promise<Host> {
  const { host, folder } = hostPlace(typed)
  const batch = process.stdin.isTTY !== true
  const outcome = await attempt(ssh(host, { batch }, text('remote_facts.sh'), folder), { asks: true })
  if (outcome.code === NO_CONNECTION) throw unreachable(host, outcome.stderr)
  if (outcome.code === 127)
    throw unusable(`ssh cannot be run: ${outcome.stderr.trim()}`, 'install the OpenSSH client: openssh-client')
  // What is not there has an empty value.
  const facts: Partial<Record<string, string>> = Object.fromEntries(
    [...outcome.stdout.matchAll(/^avril:(\w+)=(.+)$/gm)].map(([, name, value]) => [name, value]),
  )
  if (!facts.folder)
    throw unusable(
      `${host} answers, but runs no shell for us: ${(outcome.stderr || outcome.stdout).trim().slice(0, 300)}`,
      `try ssh ${host} true`,
    )
  if (facts.folder === 'missing')
    throw unusable(
      `the scripts are not in ${folder} on ${host}`,
      facts.db === undefined
        ? 'clone this repository there, or set DEPLOY_PATH in .env'
        : `it is a node of a Swarm; the scripts are on its db node, ${facts.db}: --on root@${facts.db}`,
    )
  const [version, typescript] = facts.node?.split(' ') ?? []
  checkNode(host, version)
  if (facts.scripts !== ownVersion())
    say.warn(
      `the scripts on ${host} are of another version than here (there: ${facts.commit ?? 'no git repository'}); ` +
        'git pull makes them one',
    )
  return {
    name: host,
    folder,
    loader: loaderFor(typescript, 'tsx'),
    deploy: facts.deploy,
    backup: facts.backup,
    rollout: facts.rollout,
    noise: outcome.stdout.split(/^avril:/m)[0]?.trim() || undefined,
  }
}

/** One of the scripts in the folder there, with these arguments and variables of its environment. */
export function scriptThere(
  { name, folder, loader }: Host,
  terminal: boolean,
  environment: Record<string, string>,
  script: string,
  argv: string[],
) {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return ssh(
    name,
    { terminal },
    text('remote_run.sh'),
    folder,
    'env',
    ...variables,
    'node',
    ...loader,
    `scripts/${script}.ts`,
    ...argv,
  )
}

/** What a script does with its standard input: nothing, take a person's answers, or take data. */
export type Input = 'none' | 'person' | 'data'
