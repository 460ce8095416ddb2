// Which moments an archive has, and by which bases they come back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Base, chainsOf } from '../../lib/archive/bases.ts'
import { type Candidate, chooseTable, countQuery, isThere } from '../../lib/archive/noted_counts.ts'
import type { RecoveryTarget } from '../../lib/postgres/recovered.ts'
import { type Archive, basesFor, chooseArchive, reachesOf, reachText } from '../../lib/restore/moments.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 10, 25, 12, minute))
const segment = (number: number, minute = number) => ({
  name: `00000001${'0'.repeat(8)}${number.toString(16).toUpperCase().padStart(8, '0')}`,
  bytes: 2 ** 24,
  at: at(minute),
  cut: false,
})
const segments = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, it) => segment(from + it))

// A base that begins in a segment, at the minute of the same number.
const base = (number: number, previous?: Base): Base => ({
  version: 1,
  name: `20261125T12${String(number).padStart(2, '0')}00Z`,
  chain: previous?.chain ?? '',
  timeline: 1,
  startedAt: at(number).toISOString(),
  bytes: 1,
  server: '18.6',
  systemIdentifier: '1',
  kind: previous ? 'incremental' : 'full',
  ...(previous ? { previous: previous.name } : {}),
  startLsn: `0/${(number * 2 ** 24 + 0x28).toString(16).toUpperCase()}`,
  stopLsn: `0/${(number * 2 ** 24 + 0x120).toString(16).toUpperCase()}`,
  endedAt: at(number).toISOString(),
})
const full = base(2)
const second = base(5, full)
const third = base(8, second)
const next = base(20)

const whole: Archive = { bases: [third, full, second], segments: segments(2, 12) }
const holed: Archive = { bases: [full, second, third, next], segments: [...segments(2, 9), ...segments(11, 25)] }
const lost: Archive = { bases: [second, third], segments: segments(2, 12) }
// One that was not received to its end, and is not the last.
const cut: Archive = { ...whole, segments: whole.segments.map((it, index) => ({ ...it, cut: index === 7 })) }
const early: Archive = { bases: [base(1), full], segments: segments(2, 12) }

const time = (minute: number, second = 0): RecoveryTarget => ({
  kind: 'time',
  time: new Date(at(minute).getTime() + second * 1000),
})

const FOUND: [what: string, archive: Archive, target: RecoveryTarget, bases: Base[]][] = [
  ['before the first incremental', whole, time(4), [full]],
  ['the very moment at which a base ended', whole, time(5), [full, second]],
  ['behind all', whole, time(40), [full, second, third]],
  ['the end', whole, { kind: 'end' }, [full, second, third]],
  ['a place of the log', whole, { kind: 'lsn', lsn: '0/5000119' }, [full]],
  ['the place at which a base ended', whole, { kind: 'lsn', lsn: '0/5000120' }, [full, second]],
  ['a place that a former server had, too', whole, { kind: 'lsn', lsn: '0/9000000', at: at(6) }, [full, second]],
  ['a place before a hole', holed, { kind: 'lsn', lsn: '0/A000000' }, [full, second, third]],
  [
    'a restore point of this server',
    whole,
    { kind: 'lsn', lsn: '0/5000130', at: new Date(at(5).getTime() + 900) },
    [full, second],
  ],
  ['before a hole', holed, time(8, 30), [full, second, third]],
  ['behind a hole, of the next chain', holed, time(30), [next]],
]
for (const [what, archive, target, bases] of FOUND)
  void test(`the bases for ${what}`, () => assert.deepEqual(basesFor(archive, target), bases))

const MISSING: [what: string, archive: Archive, target: RecoveryTarget, exitCode: number, message: RegExp][] = [
  ['before the first base', whole, time(1), 64, /before the first moment/],
  ['a place before the first base', whole, { kind: 'lsn', lsn: '0/2000100' }, 64, /before the first moment/],
  [
    'in a hole',
    holed,
    time(15),
    65,
    /a hole between 2026-11-25 13:09:00 \(Paris, UTC\+01:00\) and 2026-11-25 13:15:00/,
  ],
  ['a place behind a hole', holed, { kind: 'lsn', lsn: '0/F000000' }, 65, /a hole between .* and the place 0\/F000000/],
  ['behind a segment that is cut', cut, time(15), 65, /a hole between .*13:09:00/],
  [
    'a place that only a former server had',
    whole,
    { kind: 'lsn', lsn: '0/9000000', at: at(1) },
    64,
    /before the first/,
  ],
  ['an archive that is empty', { bases: [full], segments: [] }, time(9), 65, /a hole before/],
  ['a chain whose full base is gone', lost, time(9), 65, /a hole before/],
  ['a base whose first segment is gone', early, time(1, 30), 65, /a hole before/],
  [
    'a restore point of a server before, whose log had such a place, too',
    whole,
    { kind: 'lsn', lsn: '0/5000130', at: at(-300) },
    64,
    /before the first moment/,
  ],
  ['no base yet', { bases: [], segments: segments(1, 2) }, time(9), 64, /before the first moment/],
]
for (const [what, archive, target, exitCode, message] of MISSING)
  void test(`there is no such moment: ${what}`, () =>
    assert.throws(() => basesFor(archive, target), { exitCode, message }))

void test('the moments that there are, in parts where the log has holes', () => {
  assert.deepEqual(reachesOf(whole), [{ from: at(2) }])
  assert.deepEqual(reachesOf(holed), [{ from: at(2), to: at(9) }, { from: at(20) }])
  assert.match(
    reachText(reachesOf(holed)),
    /^there is any moment from 2026-11-25 13:02:00 \(.*\) to .*, and from .* to now$/,
  )
  assert.match(reachText([]), /no moment yet/)
})

// What was put aside: all of it is of before, and nothing will be added.
const begun: Archive = { bases: [base(30)], segments: segments(30, 31) }
const ended: Archive = { ...whole, ended: true }
for (const [what, archives, target, chosen] of [
  ['since the server took its place', [begun, ended], time(40), begun],
  ['of before', [begun, ended], time(9), ended],
  ['the end', [begun, ended], { kind: 'end' }, begun],
  ['the end, while there is no base yet', [{ bases: [], segments: [] }, ended], { kind: 'end' }, ended],
  ['a place and its time, of before', [begun, ended], { kind: 'lsn', lsn: '0/9000000', at: at(9) }, ended],
  ['behind what was received before: all of that', [begun, ended], time(20), ended],
  ['before all', [begun, ended], time(1), undefined],
  ['a place that nobody knows the time of', [begun, ended], { kind: 'lsn', lsn: '0/9000000' }, undefined],
] as [string, Archive[], RecoveryTarget, Archive | undefined][])
  void test(`of two archives there is ${chosen ? 'one that has' : 'none that has'}: ${what}`, () => {
    if (chosen) assert.equal(chooseArchive(archives, target).archive, chosen)
    else assert.throws(() => chooseArchive(archives, target), { exitCode: 64 })
  })

void test('what was put aside ends', () =>
  assert.deepEqual(reachesOf(begun, ended), [{ from: at(2), to: at(12) }, { from: at(30) }]))

void test('the log is counted on where a number of a segment has all its digits', () => {
  const far = [
    ...segments(2, 3),
    { ...segment(4), name: '0000000100000001000000FF' },
    { ...segment(5), name: '000000010000000200000000' },
  ]
  const late = { ...next, startLsn: '1/FF000028', stopLsn: '1/FF000120' }
  assert.deepEqual(basesFor({ bases: [late], segments: far }, time(59)), [late])
})

const own = { ...full, chain: full.name }
const received = new Map(segments(2, 6).map(({ name, bytes }) => [name, { bytes, partial: false }]))
const reached = { received: 7 * 2 ** 24, segment: 2 ** 24 }
const of = (minute: number) => ({ lsn: '0/5000130', at: at(minute).toISOString() })
for (const [what, noted, there] of [
  ['noted by this server', { ...of(5), system: '1' }, true],
  ['noted by it before it was brought back to a moment', { ...of(1), system: '1' }, false],
  ['noted by the server before an upgrade', { ...of(5), system: '2' }, false],
  ['of nobody knows which', of(5), false],
  ['before its base', { ...of(5), lsn: '0/1000130', system: '1' }, false],
] as const)
  void test(`a drill can recover what is ${what}: ${there}`, () =>
    assert.equal(isThere(chainsOf([own]), received, reached, noted), there))

const candidate = (table: string, megabytes: number, hasRows = true): Candidate => ({
  schema: 'public',
  table,
  bytes: megabytes * 1e6,
  hasRows,
})
const names = (table: string) => ({ schema: 'public', table })
for (const [what, candidates, expected] of [
  ['a small one', [candidate('large', 900), candidate('medium', 90), candidate('small', 9)], names('small')],
  ['one with rows', [candidate('empty', 0, false), candidate('small', 9)], names('small')],
  ['one that is not large', [candidate('large', 900), candidate('medium', 90)], names('medium')],
  [
    'a small one without rows, before a large one',
    [candidate('large', 900), candidate('empty', 0, false)],
    names('empty'),
  ],
  ['a part of a large one, when all are', [candidate('large', 900)], { ...names('large'), pages: 2500 }],
  ['none, when there is none', [], undefined],
] as const)
  void test(`what is counted for the drill of a moment is ${what}`, () =>
    assert.deepEqual(chooseTable([...candidates]), expected))

void test('among equals chance decides which table is counted', () => {
  const equal = ['a', 'b', 'c'].map(table => candidate(table, 1))
  assert.deepEqual(
    [0, 0.5, 0.999].map(chance => chooseTable(equal, chance)?.table),
    ['a', 'b', 'c'],
  )
})

void test('what is counted of a large table is the same when it is noted and when it is compared', () => {
  assert.equal(countQuery({}), 'select count(*) from only :"schema".:"table"')
  assert.equal(countQuery({ pages: 2500 }), `select count(*) from only :"schema".:"table" where ctid < '(2500,0)'`)
})
