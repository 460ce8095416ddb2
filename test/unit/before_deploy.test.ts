// Which deploy a person means to go back before.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Entry } from '../../lib/deploy/history.ts'
import { pointOfLive } from '../../lib/restore/rollback_with_data.ts'
import { deployToUndo } from '../../lib/restore/before_deploy.ts'

const deploy = (minute: number, to: string, more: Partial<Entry> = {}): Entry => ({
  time: `2026-11-25T12:${minute}:59.000Z`,
  who: 'anne',
  repository: 'avril',
  service: 'phoenix',
  from: null,
  to: `avril-phoenix:${to}`,
  revision: to.slice(0, 4).repeat(10),
  result: 'deployed',
  restorePoint: {
    name: `deploy ${minute}`,
    lsn: `0/${minute}000000`,
    time: `2026-11-25T12:${minute}:00.000Z`,
    xid: '7',
  },
  ...more,
})
const { restorePoint: _, ...unmarked } = deploy(10, 'aaaa-1')
const history: Entry[] = [
  unmarked,
  deploy(20, 'bbbb-1'),
  deploy(30, 'cccc-1'),
  deploy(40, 'bbbb-1'),
  deploy(50, 'dddd-1', { result: 'failed', phase: 'start' }),
  deploy(55, 'bbbb-1', { rollback: true }),
]

const MEANT: [release: string | undefined, time: string, others: number][] = [
  // the last that is no rollback: one that failed may have migrated
  [undefined, '12:50', 0],
  ['cccc-1', '12:30', 0],
  ['cccccccc', '12:30', 0],
  // deployed twice, and gone back to once: the last time, and the others are told
  ['bbbb-1', '12:55', 2],
]
for (const [release, time, others] of MEANT)
  void test(`before the deploy of ${release ?? 'any release'} is ${time}`, () => {
    const found = deployToUndo(history, release)
    assert.match(found.last.restorePoint.time, new RegExp(time))
    assert.equal(found.others.length, others)
  })

for (const [release, hint] of [
  ['aaaa-1', /there are: avril bbbb-1 at 2026-11-25 13:55:00 \(Paris, UTC\+01:00\); avril dddd-1/],
  ['eeee', /there are/],
  ['bb', /there are/],
] as const)
  void test(`no deploy of ${release} can be undone`, () =>
    assert.throws(() => deployToUndo(history, release), { exitCode: 64, hint }))

void test('without any restore point a time is offered', () =>
  assert.throws(() => deployToUndo([unmarked], undefined), {
    exitCode: 64,
    hint: /no deploy has left one yet. A time/,
  }))

const app = { service: 'phoenix', repository: 'avril' }
const between = (minute: number, from: string, to: string, more: Partial<Entry> = {}) =>
  deploy(minute, to, { from: `avril-phoenix:${from}`, ...more })

const POINTS: [what: string, history: Entry[], time: string][] = [
  ['the last deploy', [between(20, 'aaaa', 'bbbb'), between(30, 'bbbb', 'cccc')], '12:30'],
  // of two deploys of one release the first: the second replaced nothing
  ['of one that was deployed twice', [between(20, 'aaaa', 'bbbb'), between(30, 'bbbb', 'bbbb')], '12:20'],
  [
    'with a failed one behind it',
    [between(20, 'aaaa', 'bbbb'), between(30, 'bbbb', 'cccc', { result: 'failed' })],
    '12:20',
  ],
  [
    'after a rollback, the deploy before',
    [between(10, 'aaaa', 'bbbb'), between(20, 'bbbb', 'cccc'), between(30, 'cccc', 'bbbb', { rollback: true })],
    '12:10',
  ],
]
for (const [what, entries, time] of POINTS)
  void test(`the data go back to before ${what}`, () => assert.match(pointOfLive(entries, app).time, new RegExp(time)))

void test('a deploy without a restore point takes no data back', () => {
  const { restorePoint: _, ...plain } = between(20, 'aaaa', 'bbbb')
  assert.throws(() => pointOfLive([plain], app), { exitCode: 64, message: /left no restore point/ })
})
