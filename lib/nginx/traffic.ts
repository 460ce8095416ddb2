// What visitors got, by nginx's own log: of each instance how many requests, errors, cut answers, and how long they
// took.
import { docker } from '../docker/commands.ts'
import { attempt, follow } from '../system/run.ts'
import { type Nginx, othersOf } from './container.ts'

/** A request that an instance was given. */
export interface Served {
  /** when it ended, as Date.now() tells it; 0 when the line does not say */
  at: number
  client: string
  path: string
  status: number
  /** the address that it was given to, without the port */
  address: string
  /** seconds that the instance took */
  seconds: number
  /** the answer has ended as it should; also false when the visitor has gone */
  complete: boolean
}

// As log_format in nginx/nginx.conf, up to what the visitor's browser says of itself: that is a text of its choice, and
// may look like all of this. Of several instances that were asked the last one answered.
const LINE =
  /^(?:(?<at>\d{4}-\d\d-\d\dT[\d:.]+Z) )?(?<client>\S+) \[\S+\] \S+ \S+ (?<path>\S+) \S+ (?<status>\d{3}) \d+ time=\S+ upstream=(?:[^=]*[ ,])?(?<address>[\d.]+):\d+ upstream_status=[^=]* upstream_time=(?:[^=]*[ ,])?(?<seconds>[\d.]+|-) complete=(?<complete>\w*) id=[0-9a-f]{32} $/

const SHOWN_OF_A_PATH = 80

/** The request that a line of the log is about; undefined when no instance was asked, or it is no such line. */
export function servedIn(line: string): Served | undefined {
  // nginx writes every other quote as \x22.
  const groups = LINE.exec(line.slice(0, line.indexOf('"')))?.groups
  if (!groups) return undefined
  const { at, client = '', path = '', status, address = '', seconds, complete } = groups
  return {
    at: at === undefined ? 0 : Date.parse(at),
    client,
    path: path.slice(0, SHOWN_OF_A_PATH),
    address,
    status: Number(status),
    seconds: Number(seconds) || 0,
    complete: complete === 'OK',
  }
}

/** Seconds after which nobody waits any more: who gave up then was not answered in time. */
const PATIENCE = 5

const hasFailed = ({ status, seconds }: Served) => status >= 500 || (status === 499 && seconds >= PATIENCE)
const wasCut = ({ complete, status }: Served) => !complete && status < 400 && status !== 101

export interface Tally {
  requests: number
  /** different visitors */
  clients: number
  /** answered with an error of the server, or not in time */
  failed: Ways
  cut: Ways
  /** seconds */
  p50: number
  p99: number
}

/**
 * Requests of one kind: how many, of how many different visitors, and the paths that were the most, with their status.
 */
export interface Ways {
  count: number
  clients: number
  worst: { path: string; status: number; count: number }[]
}

const percentile = (sorted: number[], percent: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0

const SHOWN = 3

const clientsOf = (served: Served[]) => new Set(served.map(({ client }) => client)).size

const waysOf = (served: Served[]): Ways => {
  const ways = new Map<string, { path: string; status: number; count: number }>()
  for (const { path, status } of served) {
    const way = ways.get(`${status} ${path}`) ?? { path, status, count: 0 }
    ways.set(`${status} ${path}`, { ...way, count: way.count + 1 })
  }
  const worst = [...ways.values()].toSorted((a, b) => b.count - a.count).slice(0, SHOWN)
  return { count: served.length, clients: clientsOf(served), worst }
}

/** What these requests come to. */
export function tallyOf(served: Served[]): Tally {
  // A websocket takes as long as its page is open.
  const times = served.flatMap(({ status, seconds }) => (status === 101 ? [] : [seconds])).toSorted((a, b) => a - b)
  return {
    requests: served.length,
    clients: clientsOf(served),
    failed: waysOf(served.filter(hasFailed)),
    cut: waysOf(served.filter(wasCut)),
    p50: percentile(times, 50),
    p99: percentile(times, 99),
  }
}

const log = (nginx: Pick<Nginx, 'id'>, since: number, ...words: string[]) =>
  docker('logs', '--since', (since / 1000).toFixed(3), ...words, nginx.id)

/** bytes */
const MOST = 256e6

/** milliseconds */
const LONGEST = 30_000

/** What was served since a time (as Date.now() tells it); undefined when the log cannot be read. */
export async function readTraffic(nginx: Nginx, since: number): Promise<Served[] | undefined> {
  const signal = AbortSignal.timeout(LONGEST)
  const read = async ({ id, engine }: Pick<Nginx, 'id' | 'engine'>) => {
    const { code, stdout } = await attempt(log({ id }, since, '--timestamps'), { most: MOST, signal, engine })
    return code === 0 ? stdout.split('\n').flatMap(line => servedIn(line) ?? []) : undefined
  }
  const [own, ...others] = await Promise.all([nginx, ...othersOf(nginx)].map(read))
  return own && [...own, ...others.flatMap(it => it ?? [])].toSorted((a, b) => a.at - b.at)
}

export interface Traffic {
  /** what was served in the last minute */
  recent: () => Served[]
  /** nothing comes any more: nginx was started again, or its log cannot be read */
  hasEnded: () => boolean
  stop: () => void
}

const KEPT = 60_000

/** What is served from now on, as it comes. */
export function followTraffic(nginx: Nginx): Traffic {
  let served: Served[] = []
  let ended = false
  const streams = [nginx, ...othersOf(nginx)].map(({ id, engine }, index) => {
    // On its standard error nginx writes names that a visitor has chosen, as they are.
    const stream = follow(log({ id }, Date.now(), '--follow'), { onlyOutput: true, engine })
    const read = async () => {
      for await (const line of stream.lines) {
        const request = servedIn(line)
        if (request) served.push({ ...request, at: Date.now() })
      }
    }
    // A node that is lost takes its visitors along; the others tell enough.
    const end = () => {
      ended ||= index === 0
    }
    read().then(end, end)
    return stream
  })
  const recent = () => {
    const first = Date.now() - KEPT
    served = served.filter(({ at }) => at >= first)
    return served
  }
  return { recent, hasEnded: () => ended, stop: () => streams.forEach(({ stop }) => stop()) }
}
