// Each fault of a server must be counted, exactly as often as it happened.
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { type Faults, faultyServer } from './faulty_server.ts'
import { type LoadOptions, type Report, startLoad } from './load.ts'
import { assertRan } from './report.ts'

type Server = Awaited<ReturnType<typeof faultyServer>>

type Settings = Omit<LoadOptions, 'url'> & { seconds?: number }

const loaded = async (
  faults: Faults,
  { seconds = 0, ...options }: Settings,
  during?: (server: Server) => Promise<unknown>,
) => {
  const server = await faultyServer(faults)
  const load = startLoad({ url: server.url, paths: { slow: '/version' }, ...options })
  await (during?.(server) ?? wait(seconds * 1000))
  const report = await load.stop()
  const { counts } = server
  server.close()
  assertRan(report)
  equal(report.answered + report.failed, report.sent)
  const arrived = counts.gets + counts.posts + counts.idleResets
  equal(report.sent - report.kinds.websocket.sent - report.kinds.handshake.sent, arrived + notArrived(report))
  return { report, counts }
}

// The server has ended a websocket so often, and has had a message by another one since: the end of the load finds none
// that is just being opened again.
const until = async (reached: () => boolean) => {
  while (!reached()) await wait(2)
}

// A peer's reset, as the one who reads or the one who writes learns of it.
const RESET = new Set(['ECONNRESET', 'EPIPE'])

// Those that met a connection reset before the server could read them: each request that arrived, arrived once.
const notArrived = ({ rows }: Report) =>
  rows.filter(({ kind, outcome, reused }) => RESET.has(outcome) && !reused && kind !== 'handshake').length

const codes = ({ failures }: Report) => [...new Set(failures.map(({ code }) => code))]

void test('a good server: nothing fails, every kind is sent, at the planned rate', async () => {
  const { report } = await loaded({}, { seconds: 10, rate: 250 })
  equal(report.failed, 0)
  const sent = report.sent - report.kinds.handshake.sent
  ok(report.planned >= 2499 && sent <= report.planned + 1, `${sent} of ${report.planned}`)
  for (const [kind, stats] of Object.entries(report.kinds))
    ok(stats.answered > 0 || ['upload', 'download'].includes(kind), kind)
  ok(report.reused > 0.8 * report.kinds.keepalive.sent)
  deepEqual(
    report.instances.map(({ instance }) => instance),
    ['app-1'],
  )
  equal(
    report.timeline.reduce((sum, { answered }) => sum + answered, 0),
    report.answered,
  )
})

void test('connections that are reset when they open', async () => {
  const { report, counts } = await loaded({ dropConnection: 20 }, { seconds: 4, rate: 200 })
  ok(counts.faults > 4)
  equal(report.failed, counts.faults)
  ok(codes(report).every(code => RESET.has(code)))
})

void test('idle connections that are reset under a request, none of them sent again', async () => {
  const { report, counts } = await loaded({}, { rate: 250 }, async server => {
    // How many are idle depends on how quick this machine is.
    while (server.counts.idleResets <= 30) {
      await wait(500)
      server.resetIdle()
    }
  })
  equal(report.failed, counts.idleResets)
  ok(report.failures.every(({ reused, code }) => reused && RESET.has(code)))
  ok(report.kinds.post.failed > 0 && report.kinds.idle.failed > 0)
})

void test('error pages, answers that are cut off, wrong echoes', async () => {
  const cases = [
    [{ badGateway: 50 }, '502'],
    [{ cutOff: 50 }, 'cut off'],
    [{ wrongEcho: 5 }, 'wrong echo'],
  ] as const
  for (const [faults, code] of cases) {
    const { report, counts } = await loaded(faults, { seconds: 2, rate: 250 })
    ok(counts.faults > 0)
    equal(report.failed, counts.faults)
    deepEqual(codes(report), [code])
  }
})

void test('a request without an answer fails at the time-out, and stop waits for it', async () => {
  const { report, counts } = await loaded({ hang: 40 }, { seconds: 1.5, rate: 100, timeout: 5000 })
  ok(counts.faults > 0)
  equal(report.failed, counts.faults)
  deepEqual(codes(report), ['timeout'])
})

void test('a message without its echo is a failure, whether the websocket is closed or cut; it is opened again', async () => {
  for (const code of [1001, 1006]) {
    const faults = { closeSocket: { every: 5, code } }
    const { report, counts } = await loaded(faults, { rate: 100, rates: { websocket: 10 } }, server =>
      until(() => server.counts.faults >= 3 && server.counts.messages > 5 * server.counts.faults),
    )
    equal(report.failed, counts.faults)
    deepEqual(codes(report), [`closed with ${code}`])
    equal(report.websocketReconnects.length, counts.faults)
    equal(report.kinds.handshake.answered, counts.faults + 1)
  }
})

void test('a websocket that is closed between two messages is opened again, and nothing has failed', async () => {
  const { report, counts } = await loaded({ endSocket: 3 }, { rate: 100 }, server =>
    until(() => server.counts.messages >= 10 && server.counts.messages % 3 === 1),
  )
  equal(report.failed, 0)
  deepEqual([...new Set(report.websocketReconnects.map(({ code }) => code))], [1001])
  equal(report.websocketReconnects.length, Math.floor(counts.messages / 3))
})

void test('a slow server does not slow the load down, and latency counts from the planned time', async () => {
  const { report } = await loaded({ delay: 1000 }, { seconds: 2, rate: 100, rates: { post: 0, websocket: 0 } })
  equal(report.failed, 0)
  ok(report.kinds.fresh.p50 >= 1000)
  const blocked = await loaded({}, { rate: 200 }, async () => {
    await wait(300)
    const until = performance.now() + 400
    while (performance.now() < until);
    await wait(300)
  })
  ok(blocked.report.lateness.max > 350 && blocked.report.kinds.keepalive.max > 350)
})

void test('nothing listens: everything fails, the websocket too, and it is asked for again', async () => {
  const server = await faultyServer()
  server.close()
  const load = startLoad({ url: server.url, rate: 50, timeout: 1000 })
  await wait(1000)
  const report = await load.stop()
  equal(report.failed, report.sent)
  ok(report.kinds.handshake.failed > 2 && report.kinds.websocket.failed >= 2)
  deepEqual(codes(report), ['ECONNREFUSED', 'timeout'])
  ok(report.rows.every(({ kind, outcome }) => (outcome === 'timeout') === (kind === 'websocket')))
})

void test('a mix that cannot be is refused', () => {
  throws(() => startLoad({ url: 'http://127.0.0.1:1', rate: 0 }), RangeError)
  throws(() => startLoad({ url: 'http://127.0.0.1:1', rate: 100, rates: { post: 200 } }), RangeError)
})
