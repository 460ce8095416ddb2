import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { sendsTo, upstreamsOf, upstreamsOfRollout } from '../../lib/nginx/live.ts'
import { Zone } from '../helpers/njs_zone.ts'

const [live, given, observed] = [new Zone(), new Zone(), new Zone()]
Object.assign(globalThis, { ngx: { shared: { live, given, observed }, ERR: 4, log: () => {} } })
interface Request {
  uri?: string
  method?: string
  variables: Record<string, string>
  headersOut?: Record<string, string>
  return?: (status: number, body: string) => void
}
// @ts-expect-error njs's file has no types
const script = (await import('../../nginx/live.js')) as {
  default: Record<'instance' | 'other' | 'ended', (request: Request) => string> &
    Record<'state' | 'drained', (request: Request) => Promise<void>>
}
const { instance, other, ended, state, drained } = script.default

const requestOf = (id: string, app = 'phoenix'): Request => ({
  variables: {
    app,
    port: '4000',
    request_id: id.padEnd(32, '0'),
    drain_seconds: '0.2',
    status: '200',
    upstream_addr: '10.0.0.2:4000',
    request_time: '0.1',
  },
})
// nginx remembers what a js_set has given.
const begin = (id = '0', app = 'phoenix') => {
  const request = requestOf(id, app)
  request.variables.instance = instance(request)
  return request
}
const answerOf = async (handler: (request: Request) => Promise<void>, uri: string, method = 'GET') => {
  const answers: string[] = []
  const request = {
    ...requestOf('0'),
    uri,
    method,
    headersOut: {},
    return: (_: number, body: string) => answers.push(body),
  }
  await handler(request)
  return JSON.parse(answers.join()) as { open: Record<string, number> } & number
}
const listOf = (...names: string[]) => names.map(name => ({ address: `${name}:4000`, rollout: name.split('-')[0] }))
const instances = (...names: string[]) => JSON.stringify({ upstreams: listOf(...names) })

beforeEach(() => {
  for (const zone of [live, given, observed]) zone.clear()
})

for (const count of [1, 2, 3, 4, 7, 16]) {
  void test(`${count} upstreams share all requests`, () => {
    live.set('phoenix', instances(...Array.from({ length: count }, (_, index) => `a-${index}`)))
    const shares = new Map<string, number>()
    for (let id = 0; id < 4096; id += 1) {
      const address = instance(requestOf((id * 1048573).toString(16).padStart(8, '0')))
      shares.set(address, (shares.get(address) ?? 0) + 1)
    }
    assert.equal(shares.size, count)
    assert.ok(Math.min(...shares.values()) > (4096 / count) * 0.8)
  })
}

void test('without a file, and with one that cannot be read, an app is asked by the name of its service', () =>
  assert.equal(instance(requestOf('0', 'nobody')), 'nobody:4000'))

void test('what was given to an instance is open until it has ended, for each app and each instance', async () => {
  live.set('phoenix', instances('a-1'))
  live.set('other', instances('a-1'))
  const [first, second, third] = [begin(), begin(), begin('0', 'other')]
  assert.deepEqual((await answerOf(state, '/nginx/live/phoenix')).open, { 'a-1:4000': 2 })
  ended(first)
  ended(third)
  assert.deepEqual((await answerOf(state, '/nginx/live/phoenix')).open, { 'a-1:4000': 1 })
  assert.deepEqual((await answerOf(state, '/nginx/live/other')).open, {})
  ended(second)
  assert.deepEqual((await answerOf(state, '/nginx/live/phoenix')).open, {})
})

void test('drained: when the last request of an instance that is not live has ended, or DRAIN_SECONDS are over', async () => {
  live.set('phoenix', instances('a-1'))
  const [old, stuck] = [begin(), begin()]
  live.set('phoenix', instances('b-2'))
  begin()
  const answer = answerOf(drained, '/nginx/drained/phoenix')
  ended(old)
  assert.equal(await answer, 1)
  const next = answerOf(drained, '/nginx/drained/phoenix')
  ended(stuck)
  assert.equal(await next, 0)
})

void test('before the first switch whatever has the name of the service is live', async () => {
  live.set('phoenix', '{"upstreams":[]}')
  const request = begin()
  assert.equal(await answerOf(drained, '/nginx/drained/phoenix'), 0)
  live.set('phoenix', instances('b-2'))
  assert.equal(await answerOf(drained, '/nginx/drained/phoenix'), 1)
  ended(request)
  assert.equal(await answerOf(drained, '/nginx/drained/phoenix'), 0)
})

void test('of two releases the other one is asked, and counted in the place of the first', async () => {
  live.set('phoenix', instances('a-1', 'a-2', 'b-3'))
  const request = begin('0')
  request.variables.other_instance = other(request)
  assert.deepEqual([request.variables.instance, request.variables.other_instance], ['a-1:4000', 'b-3:4000'])
  assert.deepEqual((await answerOf(state, '/nginx/live/phoenix')).open, { 'b-3:4000': 1 })
  live.set('phoenix', instances('a-1', 'a-2'))
  const alone = begin('0')
  assert.equal(other(alone), 'a-1:4000')
})

const post = () => answerOf(state, '/nginx/live/phoenix', 'POST')
const drain = () => answerOf(drained, '/nginx/drained/phoenix')

void test('a switch that is repeated forgets nobody: after a kill the next run still waits for them', async () => {
  live.set('phoenix', instances('a-1'))
  const request = begin()
  live.set('phoenix', instances('b-2'))
  // There is no file here, so it is the service's name that is live then.
  for (const _ of [1, 2, 3]) await post()
  assert.equal(await drain(), 1)
  ended(request)
})

void test('what was given up is forgotten, and does not come back as less than nothing', async () => {
  live.set('phoenix', instances('a-1'))
  const [first, second] = [begin(), begin()]
  live.set('phoenix', instances('b-2'))
  assert.deepEqual([await drain(), await drain()], [2, 0])
  ended(first)
  live.set('phoenix', instances('a-1'))
  const third = begin()
  ended(second)
  live.set('phoenix', instances('b-2'))
  assert.equal(await drain(), 1)
  ended(third)
  assert.deepEqual([...given.keys()], [])
})

void test('with several replicas: who leaves is waited for, who stays is not, by whichever name it got its requests', async () => {
  const alias = (rollout: string) => [{ address: `${rollout}:4000`, rollout }]
  live.set('phoenix', JSON.stringify({ upstreams: alias('a') }))
  const byRollout = begin()
  live.set('phoenix', instances('b-3', 'a-2'))
  assert.equal(await drain(), 1)
  ended(byRollout)
  const [fresh, staying] = [begin('00000000'), begin('00000001')]
  assert.deepEqual(
    [fresh, staying].map(it => it.variables.instance),
    ['b-3:4000', 'a-2:4000'],
  )
  live.set('phoenix', JSON.stringify({ upstreams: alias('b') }))
  assert.equal(await drain(), 1)
  ended(staying)
  assert.equal(await drain(), 0)
  assert.deepEqual((await answerOf(state, '/nginx/live/phoenix')).open, { 'b-3:4000': 1 })
  ended(fresh)
})

void test('a switch between the choice and its count is noticed', () => {
  live.set('phoenix', instances('a-1'))
  const incr = given.incr.bind(given)
  given.incr = (key, by, first) => {
    given.incr = incr
    live.set('phoenix', instances('b-2'))
    return given.incr(key, by, first)
  }
  const request = begin()
  assert.equal(request.variables.instance, 'b-2:4000')
  ended(request)
  assert.deepEqual([...given.values()], [0, 0])
})

void test('an instance is named by itself or by its rollout, whole', () => {
  const one = { name: 'avril-phoenix-1', rollout: 'phoenix-2026' }
  assert.ok(sendsTo(upstreamsOf({ port: '4000' }, [one]), one))
  assert.ok(sendsTo(upstreamsOfRollout({ port: '4000' }, 'phoenix-2026'), one))
  assert.ok(!sendsTo(upstreamsOf({ port: '4000' }, [one]), { name: 'avril-phoenix-11', rollout: undefined }))
  assert.ok(!sendsTo([], one))
})

const visit = (status: string, id = '0', more: Record<string, string> = {}) => {
  const request = begin(id)
  Object.assign(request.variables, { status, ...more })
  ended(request)
  return request.variables.instance
}

const FUSES: [string, string[], boolean][] = [
  ['twenty errors from the first on', Array.from({ length: 20 }, () => '500'), true],
  ['nineteen errors', Array.from({ length: 19 }, () => '502'), false],
  [
    'twenty errors among more that are good',
    Array.from({ length: 60 }, (_, index) => (index % 3 ? '200' : '503')),
    false,
  ],
  ["errors of the visitors' own", Array.from({ length: 40 }, () => '404'), false],
]
for (const [what, statuses, back] of FUSES)
  void test(`a new release that is observed: ${what}`, () => {
    live.set('phoenix', JSON.stringify({ upstreams: listOf('b-2'), former: listOf('a-1') }))
    for (const status of statuses) visit(status)
    assert.equal(visit('200'), back ? 'a-1:4000' : 'b-2:4000')
  })

void test('errors of one that is not observed, and those of the release before, take nothing back', () => {
  live.set('phoenix', instances('b-2'))
  for (let index = 0; index < 40; index += 1) assert.equal(visit('500'), 'b-2:4000')
  live.set('phoenix', JSON.stringify({ upstreams: listOf('b-2'), former: listOf('a-1'), percent: 1 }))
  for (let index = 0; index < 40; index += 1) assert.equal(visit('500', '0000000000000063'), 'a-1:4000')
})

void test('answers of the cache prove nothing; who has waited for five seconds and gone was not answered', () => {
  live.set('phoenix', JSON.stringify({ upstreams: listOf('b-2'), former: listOf('a-1') }))
  for (let index = 0; index < 100; index += 1) visit('200', '0', { upstream_addr: '' })
  for (let index = 0; index < 19; index += 1) visit('499', '0', { request_time: '5.100' })
  for (let index = 0; index < 15; index += 1) visit('499', '0', { request_time: '1.000' })
  assert.equal(visit('499', '0', { request_time: '9.000' }), 'b-2:4000')
  assert.equal(visit('200'), 'a-1:4000')
})

void test('with several replicas those that stay are not the new release', () => {
  const alias = [{ address: 'a:4000', rollout: 'a' }]
  live.set('phoenix', JSON.stringify({ upstreams: listOf('b-3', 'a-2', 'a-1'), former: alias }))
  for (let index = 0; index < 60; index += 1) {
    const request = begin(index.toString(16).padStart(8, '0'))
    request.variables.status = request.variables.instance === 'b-3:4000' ? '500' : '200'
    ended(request)
  }
  assert.equal(visit('200'), 'a:4000')
})

void test('a visitor of the canary stays with one release, by a cookie; who brings no proper one is given it', () => {
  live.set('phoenix', JSON.stringify({ upstreams: listOf('b-2'), former: listOf('a-1'), percent: 10 }))
  let fresh = 0
  for (let id = 0; id < 1000; id += 1) {
    const request = requestOf(`00000000${(id * 104729).toString(16).padStart(8, '0')}`)
    if (id % 2 === 0) request.variables.cookie_avril_group = '1x'
    const address = instance(request)
    const [, group = ''] = /^avril_group=(\d\d?); Path=\/; /.exec(request.variables.group_cookie ?? '') ?? []
    fresh += address === 'b-2:4000' ? 1 : 0
    const again = requestOf('ffffffffffffffff')
    again.variables.cookie_avril_group = group
    assert.equal(instance(again), address)
    assert.equal(again.variables.group_cookie, undefined)
  }
  assert.ok(fresh > 60 && fresh < 140, `${fresh} of 1000`)
})
