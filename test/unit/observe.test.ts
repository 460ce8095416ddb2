import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wasIll, whySlower, whyWorse } from '../../lib/deploy/verdict.ts'
import { type Served, servedIn, type Tally, tallyOf } from '../../lib/nginx/traffic.ts'

const line = (upstream: string, status: string, times: string, path = '/mon-espace/a%20b', complete = 'OK') =>
  `172.18.0.1 [2026-11-28T20:08:56+00:00] GET avril.test ${path} HTTP/2.0 200 1558 time=0.004 ` +
  `upstream=${upstream} upstream_status=${status} upstream_time=${times} complete=${complete} ` +
  `id=4aba0e7d7a569f1f6e46af0c100bb98a "curl/7 upstream=9.9.9.9:1 \\x22"`

const LINES: [string, string, Partial<Served> | undefined][] = [
  [
    'an answer',
    line('172.18.0.2:4000', '200', '0.003'),
    { address: '172.18.0.2', seconds: 0.003, status: 200, complete: true },
  ],
  ['one that was cut', line('172.18.0.2:4000', '200', '0.003', '/x', ''), { complete: false }],
  [
    'of two that were asked the last',
    line('172.18.0.2:4000, 172.18.0.3:4000', '502, 200', '2.000, 0.010'),
    { address: '172.18.0.3', seconds: 0.01 },
  ],
  [
    'an internal redirect',
    line('172.18.0.2:4000 : 172.18.0.3:4000', '404 : 200', '0.001 : 0.002'),
    { address: '172.18.0.3', seconds: 0.002 },
  ],
  ['one that nobody could be reached for', line('172.18.0.2:4000', '502', '-'), { seconds: 0 }],
  ['what nginx answers itself', line('-', '-', '-'), undefined],
  ['what is no such line', '2026/11/28 20:08:51 [notice] 1#1: start worker process 88', undefined],
]
for (const [what, text, expected] of LINES)
  void test(`a line of the log: ${what}`, () => {
    const served = servedIn(text)
    if (expected === undefined) return assert.equal(served, undefined)
    assert.deepEqual({ ...served, ...expected }, served)
  })

const hostile = (agent: string, upstream = '-') =>
  line(upstream, '-', '-', '/healthcheck').replace(/"curl.*$/, `"${agent}"`)

void test('what a browser says of itself is never taken for a part of the line, and costs no time', () => {
  const forged = 'x 172.18.0.5:1 upstream_status=200 upstream_time=99 complete= id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa '
  assert.equal(servedIn(hostile(forged)), undefined)
  assert.equal(servedIn(hostile(forged, '172.18.0.2:4000'))?.address, '172.18.0.2')
  const began = performance.now()
  for (const agent of [
    ' upstream=1.1.1.1:1, '.repeat(800),
    ' upstream_time=1, complete='.repeat(600),
    ','.repeat(16_000),
  ])
    for (const upstream of ['-', '172.18.0.2:4000']) servedIn(hostile(agent, upstream))
  assert.ok(performance.now() - began < 1000)
})

// Of so many different visitors, in turn.
const served = (count: number, failed: number, seconds = 0.01, clients = 50): Served[] =>
  Array.from({ length: count }, (_, index) => ({
    at: 0,
    client: `203.0.113.${index % clients}`,
    path: `/path/${index % 4}`,
    status: index < failed ? 502 : 200,
    address: '172.18.0.2',
    seconds,
    complete: true,
  }))
const tally = (count: number, failed = 0, seconds = 0.01, clients = 50): Tally =>
  tallyOf(served(count, failed, seconds, clients))
const NONE = tally(0)
const cut = (count: number) => tallyOf(served(count, 0).map((it, index) => ({ ...it, complete: index % 2 === 0 })))
const oneOfMany = tallyOf(
  served(400, 0).map((it, index) => (index % 8 ? it : { ...it, client: '198.51.100.9', status: 500 })),
)

const LIMITS = { errors: 5, slower: 5 }
const VERDICTS: [string, { before?: Tally; control?: Tally; fresh: Tally }, RegExp | undefined][] = [
  ['nothing to compare', { fresh: NONE }, undefined],
  ['too few requests, all of them failed', { fresh: tally(19, 19) }, undefined],
  [
    'nothing to compare with, and all fail',
    { fresh: tally(40, 40) },
    /^40 of 40 requests failed \(100.0 %\); the worst: /,
  ],
  ['nothing to compare with, and half fail', { fresh: tally(40, 20) }, undefined],
  [
    'all fail',
    { before: tally(1000), fresh: tally(20, 20) },
    /^20 of 20 requests failed \(100.0 %\), of the release before 0 of 1000 .*; the worst: \/path\/\d 502 \(5 times\), .*, [^,]*$/,
  ],
  ['one path of ten fails', { before: tally(1000), fresh: tally(400, 40) }, /^40 of 400 requests failed \(10.0 %\)/],
  ['a few of many fail', { before: tally(1000), fresh: tally(1000, 40) }, undefined],
  ['a few of a few fail', { before: tally(1000), fresh: tally(30, 7) }, undefined],
  ['as many fail as before', { before: tally(1000, 300), fresh: tally(1000, 330) }, undefined],
  [
    'as many fail of the other meanwhile',
    { before: tally(1000), control: tally(200, 100), fresh: tally(200, 100) },
    undefined,
  ],
  ['the other is well meanwhile', { before: tally(1000), control: tally(200), fresh: tally(200, 100) }, /^100 of 200/],
  ['one visitor of many has all the errors', { before: tally(1000), fresh: oneOfMany }, undefined],
  ['there is only one visitor', { before: tally(1000), fresh: tally(200, 100, 0.01, 1) }, /^100 of 200/],
  [
    'half of the answers are cut',
    { before: tally(1000), fresh: cut(100) },
    /^50 of 100 requests were cut off .*; the worst: \/path/,
  ],
]
for (const [what, { before = NONE, control = NONE, fresh }, expected] of VERDICTS)
  void test(`worse or not: ${what}`, () => {
    const why = whyWorse({ before, control, fresh }, LIMITS)
    if (expected === undefined) assert.equal(why, undefined)
    else assert.match(why ?? 'not worse', expected)
  })

const SLOWER: [string, Tally, Tally, boolean][] = [
  ['it is quicker', tally(1000, 0, 3), tally(1000), false],
  ['it is much slower', tally(1000), tally(1000, 0, 1), true],
  ['it is much slower, and nobody notices', tally(1000), tally(1000, 0, 0.4), false],
  ['it is much slower, on a few requests', tally(1000), tally(400, 0, 1), false],
  [
    'a websocket was open for an hour',
    tally(1000),
    tallyOf(served(1000, 0, 3600).map(it => ({ ...it, status: 101 }))),
    false,
  ],
]
for (const [what, before, warm, expected] of SLOWER)
  void test(`slower or not: ${what}`, () => assert.equal(whySlower(before, warm, LIMITS) !== undefined, expected))

const ENDS: [string, Partial<Served>, 'failed' | 'cut' | 'good'][] = [
  ['an error', { status: 500 }, 'failed'],
  ['gone after a second', { status: 499, seconds: 1, complete: false }, 'good'],
  ['gone after five', { status: 499, seconds: 5, complete: false }, 'failed'],
  ['cut in the middle', { complete: false }, 'cut'],
  ['a websocket that was closed', { status: 101, complete: false }, 'good'],
  ['not found', { status: 404, complete: true }, 'good'],
]
for (const [what, change, expected] of ENDS)
  void test(`how a request ended: ${what}`, () => {
    const { failed, cut } = tallyOf(served(1, 0).map(it => ({ ...it, ...change })))
    assert.deepEqual([failed.count, cut.count], [Number(expected === 'failed'), Number(expected === 'cut')])
  })

// By a generator of numbers that is the same each time.
void test('chance alone takes a release back in less than one of a hundred deploys', () => {
  let seed = 42
  const chance = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
  let wrong = 0
  for (const rate of [1, 5, 20])
    for (const share of [0.01, 0.05, 0.08])
      for (let round = 0; round < 60; round += 1) {
        const some = (count: number) => served(count, 0).map(it => ({ ...it, status: chance() < share ? 500 : 200 }))
        const before = tallyOf(some(rate * 60))
        const all = some(rate * 30)
        const looks = Array.from({ length: 30 }, (_, second) => tallyOf(all.slice(0, rate * (second + 1))))
        if (looks.some(fresh => whyWorse({ before, control: NONE, fresh }, LIMITS) !== undefined)) wrong += 1
      }
  assert.ok(wrong <= 5, `${wrong} of 540`)
})

void test('a release that failed itself is nothing to go back to', () =>
  assert.deepEqual([tally(0), tally(1000, 99), tally(1000, 100), tally(10, 10)].map(wasIll), [
    false,
    false,
    true,
    false,
  ]))
