// A load generator with an open model: each request is started when it is due, however the earlier ones fare.
// Nothing is sent twice.
import { randomBytes, randomInt } from 'node:crypto'
import { busyPool, idlePool, type Pool } from './connections.ts'
import { lastSecond, recorder } from './recorder.ts'
import { http2Connection, sendOver } from './http2.ts'
import { forgiveCuts, type Mark, reportOf } from './report.ts'
import { type Answer, send } from './request.ts'
import { dealer, everyRequest, type Kind, mix, type Rates } from './schedule.ts'
import { type Closing, openSocket } from './websocket.ts'

export interface LoadOptions {
  /** the proxy: http://127.0.0.1:8080 */
  url: string
  /** requests a second of all kinds together */
  rate?: number
  /** the same per kind; what is not said is a tenth each (slow 3, websocket 2), and keepalive the rest */
  rates?: Partial<Rates>
  /** the base path of a Nuxt app: /mon-espace */
  base?: string
  paths?: Partial<Record<'get' | 'post' | 'slow' | 'download' | 'websocket', string>>
  /** reused connections that are kept busy */
  connections?: number
  /** HTTP/2 needs an address with https */
  protocol?: 'h1' | 'h2'
  /** the name of the site, when it is not that of the address */
  host?: string | undefined
  /** seconds that a slow upload or download takes */
  long?: number
  /**
   * How long the others are left idle, at least and at most (ms). Any proxy closes idle connections at some time, and a
   * request that crosses that is lost: stay below nginx's keepalive_min_timeout, which is what it promises at a reload.
   */
  idle?: readonly [number, number]
  /** ms after which a request counts as failed */
  timeout?: number
  /** s for which the proxy keeps a websocket after its instance was replaced; without it every cut is a failure */
  drain?: number
}

type Done = (answer: Answer) => void

const DEFAULTS = {
  rate: 250,
  base: '',
  paths: {},
  connections: 20,
  idle: [1000, 2500],
  timeout: 30_000,
  protocol: 'h1',
  host: undefined,
  long: 20,
} as const
const PATHS = { get: '/version', post: '/echo', slow: '/slow?s=3', download: '/stream', websocket: '/socket/websocket' }
const LARGEST_BODY = 16 * 1024

const addresses = ({ url, base, paths, long }: Required<Pick<LoadOptions, 'url' | 'base' | 'paths' | 'long'>>) => {
  const at = (path: string) => new URL(base.replace(/\/$/, '') + path, url)
  const { get, post, slow, download, websocket } = { ...PATHS, ...paths }
  const socket = at(websocket)
  socket.protocol = socket.protocol.replace('http', 'ws')
  return { get: at(get), post: at(post), slow: at(slow), download: at(`${download}?s=${long}`), websocket: socket }
}

type Settings = Required<Omit<LoadOptions, 'rates' | 'drain' | 'host'>> & Pick<LoadOptions, 'host'>

const someBody = () => randomBytes(randomInt(1, LARGEST_BODY))

const httpSenders = (settings: Settings) => {
  const { get, post, slow, download } = addresses(settings)
  const { host, long, timeout } = settings
  const tls = get.protocol === 'https:'
  const [busy, rested] = [busyPool(settings.connections, tls), idlePool(settings.idle, tls)]
  const common = host === undefined ? {} : { host }
  const patient = timeout + long * 1000
  const over = (pool: Pool, url: URL, done: Done, body?: Buffer) => {
    const connection = pool.take()
    const finish: Done = answer => {
      pool.give(connection)
      done(answer)
    }
    send({ url, agent: connection.agent, timeout, ...common, ...(body && { body }) }, finish)
  }
  return {
    keepalive: (done: Done) => over(busy, get, done),
    idle: (done: Done) => over(rested, get, done),
    post: (done: Done) => over(rested, post, done, someBody()),
    fresh: (done: Done) => send({ url: get, agent: false, timeout, ...common }, done),
    slow: (done: Done) => over(busy, slow, done),
    upload: (done: Done) =>
      send({ url: post, agent: false, timeout: patient, body: someBody(), drip: long * 1000, ...common }, done),
    download: (done: Done) => send({ url: download, agent: false, timeout: patient, ...common }, done),
    close: () => [busy, rested].forEach(pool => pool.close()),
  }
}

const http2Senders = (settings: Settings): ReturnType<typeof httpSenders> => {
  const { get, post, slow, download } = addresses(settings)
  const { host, timeout, long, connections } = settings
  const pool = Array.from({ length: connections }, () => http2Connection(get, host))
  let turn = 0
  const next = () => pool[(turn = (turn + 1) % connections)] ?? http2Connection(get, host)
  const common = host === undefined ? {} : { host }
  const over = (done: Done, url: URL, extra: { body?: Buffer; drip?: number; timeout?: number } = {}) =>
    sendOver(next().take(), { url, timeout, ...common, ...extra }, done)
  const patient = timeout + long * 1000
  return {
    keepalive: done => over(done, get),
    idle: done => over(done, get),
    post: done => over(done, post, { body: someBody() }),
    fresh: done => {
      const connection = http2Connection(get, host)
      sendOver(connection.take(), { url: get, timeout, ...common }, answer => {
        connection.close()
        done(answer)
      })
    },
    slow: done => over(done, slow),
    upload: done => over(done, post, { body: someBody(), drip: long * 1000, timeout: patient }),
    download: done => over(done, download, { timeout: patient }),
    close: () => pool.forEach(connection => connection.close()),
  }
}

/** Starts the load at once. It goes on until `stop`, which waits for the answers that are still due. */
export function startLoad(options: LoadOptions) {
  const settings = { ...DEFAULTS, ...options }
  const { rate, timeout } = settings
  const [rates, start, startedAt] = [mix(rate, options.rates), performance.now(), new Date().toISOString()]
  const elapsed = () => performance.now() - start
  const [marks, websocketReconnects]: [Mark[], Closing[]] = [[], []]
  const { rows, counts, open, begin, allAnswered } = recorder(start)
  const http = settings.protocol === 'h2' ? http2Senders(settings) : httpSenders(settings)
  const onClose = (code: number) => void websocketReconnects.push({ at: elapsed(), code })
  const events = { onConnect: () => begin('handshake'), onClose }
  const socket =
    rates.websocket > 0 ? openSocket(addresses(settings).websocket, timeout, events, settings.host) : undefined
  const websocket = (done: Done) => socket?.say(randomBytes(16).toString('hex'), done)
  const senders: Record<Kind, (done: Done) => void> = { ...http, websocket }
  const deal = dealer(rates)
  const stopSending = everyRequest(rate, start, scheduled => {
    const kind = deal()
    senders[kind](begin(kind, scheduled))
  })
  const finish = async () => {
    const seconds = stopSending() / 1000
    await allAnswered()
    for (const part of [http, socket]) part?.close()
    return reportOf(forgiveCuts(rows, options.drain ?? Infinity), {
      startedAt,
      rate,
      seconds,
      marks,
      websocketReconnects,
    })
  }
  let report: ReturnType<typeof finish> | undefined
  const snapshot = () => ({
    ...counts,
    seconds: elapsed() / 1000,
    planned: Math.floor((rate * elapsed()) / 1000),
    open: open(),
    instance: rows.findLast(({ instance }) => instance !== '')?.instance ?? '',
    lastSecond: lastSecond(rows, elapsed()),
    websocketReconnects: websocketReconnects.length,
  })
  /** Names the time from now on: splitByMarks tells what happened in it. */
  const mark = (label: string) => void marks.push({ at: elapsed(), label })
  return { mark, snapshot, stop: () => (report ??= finish()) }
}

export type Load = ReturnType<typeof startLoad>
