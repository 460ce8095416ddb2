// nginx/pause.js and nginx/maintenance.js, with what njs gives them.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

const memory = { paused: new Map<string, number>(), maintenance: new Map<string, string>() }
const add = (key: string, value: string) => memory.maintenance.has(key) || memory.maintenance.set(key, value)
Object.assign(globalThis, {
  ngx: { shared: { ...memory, maintenance: Object.assign(memory.maintenance, { add }) }, ERR: 4, log: () => {} },
})

interface Request {
  uri: string
  method?: string
  variables: Record<string, string | undefined>
  rawVariables?: { binary_remote_addr: Uint8Array }
  headersOut: Record<string, string>
  return: (status: number, body: string) => void
  internalRedirect: (uri: string) => void
}
type Handlers<Name extends string, Result> = { default: Record<Name, (request: Request) => Result> }
// @ts-expect-error njs's file has no types
const { default: pause } = (await import('../../nginx/pause.js')) as Handlers<'paused' | 'state', string> &
  Handlers<'held', Promise<void>>
// @ts-expect-error njs's file has no types
const { default: maintenance } = (await import('../../nginx/maintenance.js')) as Handlers<'closed' | 'comeBack', string>

const requestOf = (more: Partial<Request> = {}) => {
  const came: string[] = []
  const request: Request = {
    uri: '/',
    variables: { app: 'phoenix', server_port: '80', goes_on: '@app' },
    headersOut: {},
    return: (status, body) => came.push(`${status} ${body}`),
    internalRedirect: uri => came.push(uri),
    ...more,
  }
  return { request, came }
}

beforeEach(() => {
  for (const zone of Object.values(memory)) zone.clear()
})

void test('an app waits from POST to DELETE, and no other app', () => {
  const { request } = requestOf()
  const tell = (method: string) => pause.state(requestOf({ uri: '/nginx/paused/phoenix', method }).request)
  assert.equal(pause.paused(request), '')
  tell('POST')
  assert.equal(pause.paused(request), '1')
  assert.equal(pause.paused(requestOf({ variables: { app: 'nuxt_profile', server_port: '80' } }).request), '')
  tell('DELETE')
  assert.equal(pause.paused(request), '')
})

void test('a pause that nobody says again is over, without a word', () => {
  memory.paused.set('phoenix', Date.now() - 1)
  assert.equal(pause.paused(requestOf().request), '')
})

void test("the deploy's own requests do not wait, and none does twice", () => {
  memory.paused.set('phoenix', Date.now() + 60_000)
  assert.equal(pause.paused(requestOf({ variables: { app: 'phoenix', server_port: '8081' } }).request), '')
  const again = { app: 'phoenix', server_port: '80', has_waited: '1' }
  assert.equal(pause.paused(requestOf({ variables: again }).request), '')
})

void test('the end of a pause is told how many have waited in vain', () => {
  const told = (method: string) => {
    const { request, came } = requestOf({ uri: '/nginx/paused/phoenix', method })
    pause.state(request)
    return came.join()
  }
  memory.paused.set('phoenix refused', 3)
  assert.equal(told('POST'), '200 true\n')
  assert.equal(told('DELETE'), '200 0\n')
  told('POST')
  memory.paused.set('phoenix refused', 2)
  told('POST')
  assert.equal(told('DELETE'), '200 2\n')
})

void test('what has waited goes on where it was', async () => {
  const { request, came } = requestOf()
  memory.paused.set('phoenix', Date.now() + 60_000)
  const held = pause.held(request)
  assert.deepEqual(came, [])
  memory.paused.delete('phoenix')
  await held
  assert.deepEqual([came, request.variables.has_waited], [['@app'], '1'])
})

const close = (state: object) =>
  memory.maintenance.set('state', JSON.stringify({ url: null, until: null, allow: [], ...state }))
const from = (...bytes: number[]) => ({ rawVariables: { binary_remote_addr: Uint8Array.from(bytes) } })

void test('open unless a file says otherwise', () => assert.equal(maintenance.closed(requestOf().request), ''))

for (const [uri, closed] of [
  ['/', 'page'],
  ['/mon-espace/', 'page'],
  ['/healthcheck', ''],
  ['/healthcheck/x', 'page'],
  ['/.well-known/acme-challenge/abc', ''],
  ['/.well-known/security.txt', 'page'],
  ['/_avril/maintenance.html', ''],
] as const)
  void test(`${uri} is ${closed === '' ? 'open' : 'closed'} while the site is`, () => {
    close({})
    assert.equal(maintenance.closed(requestOf({ uri }).request), closed)
  })

for (const [what, address, closed] of [
  ['the address', [192, 0, 2, 7], ''],
  ['another', [192, 0, 2, 8], 'moved'],
  // It begins with the same bits.
  ['one of IPv6', [192, 0, 2, 7, ...Array<number>(12).fill(0)], 'moved'],
  ['one of the network', [0x20, 0x01, 0x0d, 0xb8, ...Array<number>(12).fill(9)], ''],
] as const)
  void test(`${what} is ${closed === '' ? '' : 'not '}allowed`, () => {
    const allow = [
      { bytes: 4, bits: '11000000000000000000001000000111' },
      { bytes: 16, bits: '00100000000000010000110110111000' },
    ]
    close({ url: 'https://example.org/', allow })
    assert.equal(maintenance.closed(requestOf(from(...address)).request), closed)
  })

void test('when to come back: at the time that was said; soon when there is none, or it has passed', () => {
  close({ until: new Date(Date.now() + 90_000).toISOString() })
  assert.match(maintenance.comeBack(requestOf().request), /^(89|90)$/)
  for (const until of [null, '2020-01-01T00:00:00Z']) {
    close({ until })
    assert.equal(maintenance.comeBack(requestOf().request), '120')
  }
})
