import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { dealer, mix } from './schedule.ts'

void test('the mix fills up with reused connections', () => {
  deepEqual(mix(250), { idle: 25, post: 25, fresh: 25, slow: 3, websocket: 2, upload: 0, download: 0, keepalive: 170 })
  deepEqual(mix(100, { post: 50, websocket: 0 }), {
    idle: 10,
    post: 50,
    fresh: 10,
    slow: 3,
    websocket: 0,
    upload: 0,
    download: 0,
    keepalive: 27,
  })
  equal(mix(10).slow, 1)
})

void test('a mix that does not make the rate is refused', () => {
  for (const [rate, asked] of [
    [0, {}],
    [NaN, {}],
    [100, { post: 200 }],
    [100, { keepalive: 100 }],
    [100, { slow: -1 }],
  ] as const)
    throws(() => mix(rate, asked), RangeError)
})

void test('kinds are dealt in exact shares, and the rare ones evenly', () => {
  const deal = dealer(mix(250))
  const dealt = Array.from({ length: 2500 }, deal)
  equal(dealt.filter(kind => kind === 'post').length, 250)
  equal(dealt.filter(kind => kind === 'slow').length, 30)
  const at = dealt.flatMap((kind, index) => (kind === 'websocket' ? [index] : []))
  ok(
    at.slice(1).every((index, position) => Math.abs(index - (at[position] ?? 0) - 125) <= 10),
    String(at),
  )
})
