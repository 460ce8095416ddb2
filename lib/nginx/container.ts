// nginx's container, in which it is asked and told things; in a Swarm with those of the other nodes.
import { type Instance, listContainers, listInstances } from '../docker/containers.ts'
import { openShells, runIn } from '../docker/run_in.ts'
import { isSwarm, listNodes, WEB_NODE } from '../docker/swarm.ts'
import { engineOf } from '../ssh/engines.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import type { Outcome } from '../system/run.ts'
import type { Run } from '../system/shell_session.ts'

export interface Nginx extends Instance {
  /** runs a program in it */
  run: Run
  /** in a Swarm those of the other nodes, which ask this one who is live, too (nginx/follow.js) */
  others: Other[]
  /** the nodes whose nginx is left out from now on: nobody has heard whether it knows who is live */
  left: Set<string>
}

export interface Other extends Nginx {
  /** the node that it is on */
  node: string
}

/** The one that runs, of these containers. */
export function nginxAmong(instances: Instance[]): Nginx | undefined {
  const nginx = instances.find(({ service, running }) => service === 'nginx' && running)
  return nginx && { ...nginx, run: runIn(nginx.id), others: [], left: new Set() }
}

/** The one of a Compose project that runs, with those of other nodes; what cannot be reached is told, and left out. */
export async function findNginx(project: string): Promise<Nginx | undefined> {
  const nginx = nginxAmong(await listInstances(project, 'nginx'))
  if (!nginx || !isSwarm()) return nginx
  const { found, missing } = await findOthers(project)
  for (const { node, why } of missing) leaveOut(nginx, node, why)
  return { ...nginx, others: found }
}

/** The nginx of each other node that is to have one, and which have none that answers, and why. */
export async function findOthers(project: string) {
  const nodes = (await listNodes()).filter(({ isHere, labels }) => !isHere && labels[WEB_NODE] === 'true')
  const looked = await Promise.all(
    nodes.map(async ({ name, host, isUp }): Promise<{ other: Other } | { node: string; why: string }> => {
      if (!isUp) return { node: name, why: 'the managers do not hear it' }
      try {
        const engine = await engineOf(host)
        const nginx = nginxAmong(await listContainers(project, 'nginx', engine))
        if (!nginx) return { node: name, why: 'no nginx runs there' }
        const there = { ...nginx, engine, node: name, run: bounded(runIn(nginx.id, engine)) }
        return { other: there }
      } catch (error) {
        return { node: name, why: messageOf(error) }
      }
    }),
  )
  return {
    found: looked.flatMap(it => ('other' in it ? [it.other] : [])),
    missing: looked.flatMap(it => ('other' in it ? [] : [it])),
  }
}

/** milliseconds in which another node must answer, other than when it waits for requests to end */
const PATIENCE = 15_000

// A machine that is gone says nothing: nobody waits for it.
const bounded =
  (run: Run): Run =>
  (command, options = {}) => {
    const limit = AbortSignal.timeout(options.patience ?? PATIENCE)
    return run(command, { ...options, signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit })
  }

const leaveOut = ({ left }: Nginx, node: string, why: string) => {
  left.add(node)
  const plain = /cannot connect to the docker daemon/i.test(why) ? 'Docker does not answer there' : why.split('\n')[0]
  say.warn(`nginx of ${node} is left out: ${plain}. It learns who is live before it takes a request again`)
}

/** The program was not run, or nobody heard how it ended: curl's own codes lie between. */
const isUnheard = ({ code }: Outcome) => code === 1 || code >= 125

/** What another node's nginx throws when it is not reached, while a deploy goes on without it. */
class Unheard extends Failure {}

/**
 * The same of each nginx, at once: what each answers, this machine's first. Another one that is not reached any more is
 * told, and left out from then on; what it answers that is wrong is thrown.
 */
export async function ofEach<T>(nginx: Nginx, work: (one: Nginx) => Promise<T>): Promise<T[]> {
  const watched = (other: Other): Nginx => ({
    ...other,
    others: [],
    left: new Set(),
    run: async (command, options) => {
      const outcome = await other.run(command, options)
      if (isUnheard(outcome) && options?.signal?.aborted !== true)
        throw new Unheard(outcome.stderr.trim() || 'it does not answer', { exitCode: EXIT.unreachable })
      return outcome
    },
  })
  const alone = { ...nginx, others: [] }
  const [own, ...others] = await Promise.allSettled([
    work(alone),
    ...othersOf(nginx).map(async other => {
      try {
        return { answer: await work(watched(other)) }
      } catch (error) {
        if (!(error instanceof Unheard)) throw new Failure(`on ${other.node}: ${messageOf(error)}`, { cause: error })
        leaveOut(nginx, other.node, error.message)
        return {}
      }
    }),
  ])
  const failed = [own, ...others].find(it => it.status === 'rejected')
  if (failed) throw failed.reason
  return [own, ...others].flatMap(it => {
    if (it.status === 'rejected') return []
    if (it === own) return [it.value as T]
    const { answer } = it.value as { answer?: T }
    return answer === undefined ? [] : [answer]
  })
}

/** Those of other nodes that are not left out. */
export function othersOf({ others, left }: Nginx) {
  return others.filter(({ node }) => !left.has(node))
}

/** The folder `nginx` of this checkout, there. */
export const FOLDER = '/etc/nginx/avril'

/** What curl is asked for nginx's own word about something: `path` is one of those of port 8081 in nginx/nginx.conf. */
export async function askNginx(nginx: Nginx, path: string, ...words: string[]) {
  const url = `http://127.0.0.1:8081/nginx${path}`
  return nginx.run(['curl', '--silent', '--show-error', '--fail-with-body', ...words, url])
}

/** For somebody who has much to ask: what costs the most is paid once, until it is disposed of. */
export function keepOpen(nginx: Nginx): Nginx & { dispose: () => void } {
  const shells = [nginx, ...nginx.others].map(({ id, engine }) => openShells(id, engine))
  return {
    ...nginx,
    run: shells[0]!.run,
    others: nginx.others.map((other, index) => ({ ...other, run: bounded(shells[index + 1]!.run) })),
    dispose: () => shells.forEach(shell => shell.dispose()),
  }
}
