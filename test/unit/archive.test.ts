import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { isEncrypted } from '../../lib/archive/stage_chain.ts'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ArchiveState } from '../../lib/archive/archive_state.ts'
import { gapsBetween } from '../../lib/archive/check_archive.ts'
import { isFullDue, isNews } from '../../lib/archive/nightly.ts'
import { chainsToRemove } from '../../lib/archive/offsite.ts'
import { isArchivePath } from '../../lib/archive/offsite_listing.ts'
import { firstSegment, keptChains, shippedSpans } from '../../lib/archive/retain_chains.ts'
import { linkedBases } from '../../lib/archive/stage_chain.ts'
import { runsOf } from '../../lib/archive/stage_files.ts'
import { writeSegments } from '../../lib/archive/unpack_wal.ts'
import { joined } from '../../lib/archive/windows.ts'
import { archiveText } from '../../lib/cli/archive_report.ts'
import { archiveTroubles } from '../../lib/status/archive_status.ts'
import { type Base, basesIn, chainsOf, endOf, readBackupManifest, startOf } from '../../lib/archive/bases.ts'
import {
  lsnOf,
  type Piece,
  pieceName,
  pieceOf,
  piecesBetween,
  pieceTimes,
  positionOf,
  rangeName,
  segmentName,
  segmentsBetween,
  timeInName,
} from '../../lib/archive/positions.ts'
import { addToIndex, openIndex, readPieces } from '../../lib/archive/shipped.ts'
import { hasPiece, missingSegments } from '../../lib/archive/receiver.ts'

const MB16 = 16 * 2 ** 20

for (const [lsn, position, segment] of [
  ['0/1000000', MB16, '000000010000000000000001'],
  ['0/5000028', 0x5000028, '000000010000000000000005'],
  ['0/FFFFFFFF', 2 ** 32 - 1, '0000000100000000000000FF'],
  ['1/0', 2 ** 32, '000000010000000100000000'],
  ['1AB/C0000000', 0x1abc0000000, '00000001000001AB000000C0'],
] as const)
  void test(`${lsn} is in ${segment}`, () => {
    assert.equal(positionOf(lsn), position)
    assert.equal(lsnOf(position), lsn)
    assert.equal(segmentName(1, position, MB16), segment)
  })

for (const text of ['', '0', '0/', 'x/1', '0/123456789'])
  void test(`${JSON.stringify(text)} is no LSN`, () => assert.equal(positionOf(text), undefined))

void test('segments and pieces between two positions, which never cross the end of a segment', () => {
  assert.deepEqual(segmentsBetween(2, 0x2ffffff, 0x4000000, MB16), [
    '000000020000000000000002',
    '000000020000000000000003',
  ])
  const pieces = piecesBetween(1, 0x2fffff0, 0x4000010, MB16)
  assert.deepEqual(pieces.map(rangeName), [
    '00000001-0000000002FFFFF0-0000000003000000',
    '00000001-0000000003000000-0000000004000000',
    '00000001-0000000004000000-0000000004000010',
  ])
  const at = '2026-11-25T13:32:10.999999Z'
  for (const nameOf of [rangeName, (piece: Piece) => pieceName(piece, at)])
    assert.deepEqual(
      pieces.map(it => pieceOf(`${nameOf(it)}.zst.age`)),
      pieces,
    )
  assert.deepEqual(piecesBetween(1, 5, 5, MB16), [])
  for (const name of ['index.jsonl', `${rangeName(pieces[0]!)}.zst.partial`, '00000001-0.zst'])
    assert.equal(pieceOf(name), undefined)
})

for (const [name, time] of [
  ['00000001-0000000002FFFFF0-0000000003000000-20261125T133210Z.zst.age', '2026-11-25T13:32:10Z'],
  [
    `${pieceName({ timeline: 1, start: 5, end: 9 }, '2026-10-25T02:30:59.999999+01:00')}.zst`,
    // Never later than it was.
    '2026-10-25T01:30:59Z',
  ],
  ['00000001-0000000002FFFFF0-0000000003000000.zst', undefined],
  ['00000001-0000000002FFFFF0-0000000003000000-20261399T990000Z.zst', undefined],
] as const)
  void test(`the time in ${name} is ${time}`, () => assert.equal(timeInName(name), time))

const whole = { bytes: MB16, partial: false }
const part = { bytes: MB16, partial: true }
const [two, three, four] = segmentsBetween(1, 0x2000000, 0x5000000, MB16) as [string, string, string]
for (const [what, there, missing] of [
  [
    'all are there, the last one a part',
    [
      [two, whole],
      [three, whole],
      [four, part],
    ],
    [],
  ],
  [
    'one is missing',
    [
      [two, whole],
      [four, part],
    ],
    [three],
  ],
  [
    'one in the middle is a part',
    [
      [two, whole],
      [three, part],
      [four, part],
    ],
    [three],
  ],
  [
    'one is cut',
    [
      [two, { bytes: 5, partial: false }],
      [three, whole],
      [four, part],
    ],
    [two],
  ],
  ['none', [], [two, three, four]],
] as [string, [string, typeof whole][], string[]][])
  void test(`segments that are missing: ${what}`, () =>
    assert.deepEqual(missingSegments(new Map(there), 1, 0x2000028, 0x4000100, MB16), missing))

const base = (name: string, chain: string) => ({
  version: 1,
  name,
  kind: name === chain ? 'full' : 'incremental',
  chain,
  timeline: 1,
  startLsn: '0/2000028',
  stopLsn: '0/2000120',
  startedAt: '2026-11-22T03:00:00.000Z',
  endedAt: '2026-11-22T03:00:05.000Z',
  bytes: 1,
  server: '18.6',
  systemIdentifier: '7713726067396636710',
})

void test('bases are put in their chains, oldest first; what is damaged, or has no full base, is in none', () => {
  const [a, b, c] = ['20261115T030000Z', '20261122T030000Z', '20261123T030000Z'] as const
  const lines = [base(c, b), base(b, b), base(a, a), base('20261124T030000Z', '20261101T030000Z')].map(it =>
    JSON.stringify(it),
  )
  const chains = chainsOf(basesIn([...lines, '{"version": 1', ''].join('\n')))
  assert.deepEqual(
    chains.map(({ name, bases }) => [name, bases.map(it => it.name)]),
    [
      [a, [a]],
      [b, [b, c]],
    ],
  )
})

const manifest = (ranges: string) => `{ "System-Identifier": 7713726067396636710,\n"WAL-Ranges": [\n${ranges}\n],\n`
const range = '{ "Timeline": 3, "Start-LSN": "0/7000028", "End-LSN": "0/7000120" }'
void test('what a manifest tells of the WAL, where it is of one timeline', () => {
  assert.deepEqual(readBackupManifest(manifest(range)), {
    timeline: 3,
    startLsn: '0/7000028',
    stopLsn: '0/7000120',
    systemIdentifier: '7713726067396636710',
  })
  assert.equal(readBackupManifest(manifest('')), undefined)
  assert.equal(readBackupManifest(manifest(`${range},\n${range}`)), undefined)
})

const span = (name: string, from: string, to?: string) => ({
  name,
  from: `${from}T03:00:00Z`,
  to: to && `${to}T03:00:00Z`,
})
const spans = [span('a', '2026-11-01', '2026-11-08'), span('b', '2026-11-08', '2026-11-15'), span('c', '2026-11-15')]
for (const [what, rules, now, kept] of [
  ['by the days since its end', { days: 7 }, '2026-11-16', 'b,c'],
  ['all of them', { days: 30 }, '2026-11-16', 'a,b,c'],
  ['the newest, whatever its age', { days: 1, maxDays: 1 }, '2027-01-01', 'c'],
  ['none whose first rows are older than the maximum', { days: 30, maxDays: 10 }, '2026-11-16', 'b,c'],
] as const)
  void test(`chains that are kept: ${what}`, () => {
    const names = keptChains(spans, rules, new Date(`${now}T04:00:00Z`)).map(({ name }) => name)
    assert.equal(names.join(), kept)
  })

for (const [what, started, now, due] of [
  ['there is none', undefined, '2026-11-25T03:20:00', true],
  ['it is Sunday', '2026-11-22T03:20:00', '2026-11-29T03:20:00', true],
  ['it is Sunday, and that of today is made', '2026-11-29T03:20:00', '2026-11-29T09:00:00', false],
  ['it is Monday', '2026-11-29T03:20:00', '2026-11-30T03:20:00', false],
  ['that of Sunday was not made', '2026-11-22T03:20:00', '2026-11-30T03:20:00', true],
] as const)
  void test(`a full base is due: ${what}`, () =>
    assert.equal(isFullDue(started && { startedAt: started }, new Date(now)), due))

void test('windows that meet are one; a gap parts them', () => {
  const it = (from: string, to: string) => ({ from: `2026-11-${from}T00:00:00Z`, to: `2026-11-${to}T00:00:00Z` })
  assert.deepEqual(joined([it('08', '15'), it('01', '08')]), [it('01', '15')])
  assert.deepEqual(joined([it('01', '05'), it('06', '09'), it('07', '08')]), [it('01', '05'), it('06', '09')])
  assert.deepEqual(joined([]), [])
})

const reached = { segment: MB16, received: 0x4000100 }
for (const [what, found, start, end, there] of [
  ['a whole segment', whole, 0x2000000, 0x3000000, true],
  ['one that is cut', { bytes: 5, partial: false }, 0x2000000, 0x3000000, false],
  ['what is received of a part', part, 0x4000000, 0x4000100, true],
  ['more than is received of a part', part, 0x4000000, 0x4000101, false],
  ['none', undefined, 0x2000000, 0x3000000, false],
] as const)
  void test(`a piece that can be shipped: ${what}`, () => {
    const segments = new Map(found ? [[segmentName(1, start, MB16), found]] : [])
    assert.equal(hasPiece({ segments, reached }, { timeline: 1, start, end }), there)
  })

void test('of what is shipped at once the last piece alone has the time of all', () => {
  const pieces = piecesBetween(1, 0x2000000, 0x5000000, MB16)
  assert.deepEqual(pieceTimes(pieces, 'before', 'now'), ['before', 'before', 'now'])
  assert.deepEqual(pieceTimes(pieces, 'before', undefined), ['before', 'before', 'before'])
})

void test('a chain ends where all is that was committed before the next one can be recovered to', () => {
  assert.equal(endOf({ stopLsn: '0/2000120' }), 0x2000120)
  assert.equal(endOf({ stopLsn: '0/2000120', endLsn: '1/5' }), 2 ** 32 + 5)
})

void test('what is shipped: spans of chains, one of which has lost its full base, and a piece that was shipped twice', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shipped-'))
  try {
    const names = ['20261101T030000Z', '20261108T030000Z', '20261115T030000Z', '20261122T030000Z']
    for (const name of names) mkdirSync(join(folder, 'archive', name, 'base'), { recursive: true })
    for (const name of [names[0]!, names[2]!]) {
      const full = { ...base(name, name), startedAt: startOf(name), endedAt: startOf(name), files: {} }
      writeFileSync(join(folder, 'archive', name, 'base', `${name}.json`), JSON.stringify(full))
    }
    const third = startOf(names[2]!)
    assert.deepEqual(
      shippedSpans(folder).map(({ from, to }) => [from, to]),
      names.map((name, index) => [startOf(name), index < 2 ? third : undefined]),
    )
    assert.equal(third, '2026-11-15T03:00:00Z')
    const name = `${rangeName(piecesBetween(1, 0, 5, MB16)[0]!)}.zst`
    for (const sha256 of ['a', 'b', 'c'])
      addToIndex(folder, { name, bytes: 1, sha256: sha256.repeat(64), at: '2026-11-15T03:00:00Z' })
    const pieces = readPieces(folder).map(it => [it.sha256[0], it.former.map(([first]) => first).join('')])
    assert.deepEqual(pieces, [['c', 'ab']])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

for (const [what, damage, told, expected] of [
  ['nothing', [], ['a'], false],
  ['what was told', ['a'], ['b', 'a'], false],
  ['more than was told', ['a', 'b'], ['a'], true],
  ['the first', ['a'], undefined, true],
] as const)
  void test(`damage that holds up the removal of what is old: ${what}`, () =>
    assert.equal(isNews([...damage], told && [...told]), expected))

for (const [path, expected] of [
  ['20261122T030000Z/base/20261123T030000Z.tar.zst.age', true],
  ['20261122T030000Z/base/20261122T030000Z.json', true],
  ['20261122T030000Z/wal/complete.json', true],
  ['20261122T030000Z/wal/00000001-0000000002FFFFF0-0000000003000000.zst.age', true],
  ['20261122T030000Z/wal/00000001-0000000002FFFFF0-0000000003000000-20261125T133210Z.zst.age', true],
  ['20261122T030000Z/../../../etc/cron.d/x', false],
  ['20261122T030000Z/base/../../x.json', false],
  ['20261122T030000Z/wal/index.jsonl\n', false],
  ['/20261122T030000Z/wal/index.jsonl', false],
] as const)
  void test(`${JSON.stringify(path)} in a bucket is ${expected ? '' : 'no '}file of the archive`, () =>
    assert.equal(isArchivePath(path), expected))

const [one, two2, three3] = ['20261101T030000Z', '20261108T030000Z', '20261115T030000Z'] as const
const full = (name: string) => `${name}/base/${name}.json`
const rest = (name: string) => `${name}/wal/complete.json`
for (const [what, there, here, removed] of [
  ['what the rules do not keep', [full(one), rest(one), full(two2), full(three3)], [three3], [one]],
  ['what a night before has begun to remove', [rest(one), full(two2), full(three3)], [three3], [one]],
  ['none that is here', [full(one), full(two2), full(three3)], [one, two2, three3], []],
  ['never the newest, and what has come since', [full(one), rest(two2)], [], []],
  ['nothing of a server that has lost its own', [full(two2), full(three3)], [], []],
] as const)
  void test(`chains off the site that go: ${what}`, () => {
    const paths = new Map(there.map(path => [path, 1]))
    const now = new Date('2026-11-16T04:00:00Z')
    assert.deepEqual(chainsToRemove(paths, [...here], { days: 7, weeks: 0, months: 0 }, now), removed)
  })

const link = (name: string, previous?: string) => ({
  name,
  ...(previous ? { previous } : {}),
  endedAt: `2026-11-0${name}T03:00:00Z`,
})
for (const [what, bases, names] of [
  ['all', [link('1'), link('2', '1'), link('3', '2')], '1,2,3'],
  ['none behind the time', [link('1'), link('2', '1'), link('5', '2')], '1,2'],
  ['none behind one that is missing', [link('1'), link('3', '2')], '1'],
] as const)
  void test(`the bases of a chain that a moment is put together from: ${what}`, () => {
    const linked = linkedBases([...bases], new Date('2026-11-04T00:00:00Z'))
    assert.equal(linked.map(({ name }) => name).join(), names)
  })

void test('the first segment that is needed is that of the smallest place, not of the oldest name', () => {
  const [a, b] = ['20261115T030000Z', '20261122T030000Z'] as const
  const chains = chainsOf([
    { ...base(a, a), startLsn: '1/5000028' },
    { ...base(b, b), startLsn: '0/FF000028' },
  ] as Base[])
  assert.equal(firstSegment(chains, MB16), '0000000100000000000000FF')
  assert.equal(firstSegment([], MB16), undefined)
})

void test('gaps between pieces, from where the chain begins on', () => {
  const piece = (start: number, end: number) => ({ timeline: 1, start, end })
  assert.deepEqual(gapsBetween([piece(4, 6), piece(0, 4)], 0), [])
  assert.deepEqual(gapsBetween([piece(2, 4), piece(6, 8)], 0), [piece(0, 2), piece(4, 6)])
})

const state: ArchiveState = {
  time: '2026-11-29T12:00:00Z',
  received: '2026-11-29T12:00:00Z',
  shipped: '2026-11-29T12:00:00Z',
  offsite: { at: '2026-11-29T12:00:00Z', error: '' },
  windows: [],
  base: { name: '20261129T030000Z', kind: 'full', endedAt: '2026-11-29T03:00:00Z' },
  slot: 'reserved',
  damage: [],
  error: '',
}
for (const [what, change, expected] of [
  ['nothing', {}, ''],
  ['a pass that failed', { error: 'the disk is full' }, 'the disk is full'],
  ['no pass for a while', { time: '2026-11-29T11:50:00Z' }, 'nothing was shipped for 10 minutes'],
  ['BACKUP_DIR that is behind', { shipped: '2026-11-29T11:55:00Z' }, 'what is in BACKUP_DIR is 5 minutes behind'],
  [
    'what is received',
    { received: '2026-11-29T11:55:00Z' },
    'what is received beside the database is 5 minutes behind',
  ],
  [
    'a bucket that is away',
    { offsite: { at: '2026-11-29T11:00:00Z', error: 'it does not answer' } },
    'what is off the site is 1 hour behind: it does not answer',
  ],
  ['a slot that is lost', { slot: 'lost' }, 'the slot is lost'],
  ['no base', { base: null }, 'there is no base backup'],
  [
    'an old base',
    { base: { ...state.base!, endedAt: '2026-11-28T03:00:00Z' } },
    'the newest base backup is 33 hours old',
  ],
  ['a piece that is cut', { damage: ['the piece x is cut'] }, 'the piece x is cut'],
] as [string, Partial<ArchiveState>, string][])
  void test(`trouble of the archive: ${what}`, () => {
    const [first = ''] = archiveTroubles({ ...state, ...change }, true, new Date('2026-11-29T12:00:00Z'))
    assert.ok(expected === '' ? first === '' : first.startsWith(expected), first)
  })

void test('WAL that comes in any chunks becomes its segments, the last one filled up with zeros', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'segments-'))
  try {
    const bytes = Buffer.from(Array.from({ length: 40 }, (_, index) => index + 1))
    const chunks = async function* () {
      for (const [from, to] of [
        [0, 3],
        [3, 21],
        [21, 40],
      ] as const)
        yield bytes.subarray(from, to)
    }
    const end = await writeSegments(chunks(), { timeline: 1, start: 32, segment: 16 }, folder)
    assert.equal(end, 72)
    const files = readdirSync(folder).toSorted()
    assert.equal(files.length, 3)
    const all = Buffer.concat(files.map(name => readFileSync(join(folder, name))))
    assert.deepEqual(all, Buffer.concat([bytes, Buffer.alloc(8)]))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

// One range, shipped under several names: those in the index, oldest first; those that are there whole; which counts.
for (const [indexed, there, counts] of [
  [['zst', 'zst.age'], ['zst', 'zst.age'], 'zst.age'],
  [['zst.age', 'zst'], ['zst', 'zst.age'], 'zst'],
  [['zst', 'zst.age'], ['zst'], 'zst'],
  [['zst.age', 'zst'], ['zst.age'], 'zst.age'],
  [['zst', 'zst.age', 'zst'], ['zst', 'zst.age'], 'zst'],
  [['zst', 'zst.age'], [], 'zst.age'],
] as const)
  void test(`of ${indexed.join(', ')} of one range, and ${there.join(', ') || 'none'} there, ${counts} counts`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'doubles-'))
    try {
      const name = (ending: string) => `${rangeName({ timeline: 1, start: 0, end: 5 })}.${ending}`
      const at = '2026-11-15T03:00:00Z'
      for (const ending of there) writeFileSync(join(folder, name(ending)), ending)
      for (const ending of indexed) {
        const sha256 = createHash('sha256').update(ending).digest('hex')
        addToIndex(folder, { name: name(ending), bytes: ending.length, sha256, at })
      }
      assert.deepEqual(
        readPieces(folder).map(it => it.name),
        [name(counts)],
      )
      // What does not count is not kept, unless nobody knows which one is right.
      await openIndex(folder, at)
      const left = readdirSync(folder).filter(it => it !== 'index.jsonl')
      assert.deepEqual(left, there.length > 0 ? [name(counts)] : [])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

void test('a range that was shipped again in other pieces is written once more, and not behind', async () => {
  const pieces = [
    [0, 10],
    [0, 16],
    [10, 16],
    [16, 20],
  ].map(([start = 0, end = 0]) => ({ timeline: 1, start, end }))
  const runs = runsOf(pieces)
  assert.deepEqual(
    runs.map(run => run.map(it => `${it.start}-${it.end}`).join()),
    ['0-10', '0-16', '10-16,16-20'],
  )
  const folder = mkdtempSync(join(tmpdir(), 'segments-'))
  try {
    const bytes = Buffer.from(Array.from({ length: 20 }, (_, index) => index + 1))
    for (const run of runs) {
      const [start, end] = [run[0]!.start, run.at(-1)!.end]
      const wal = async function* () {
        yield bytes.subarray(start, end)
      }
      assert.equal(await writeSegments(wal(), { timeline: 1, start, segment: 16 }, folder), end)
    }
    const files = readdirSync(folder).toSorted()
    const all = Buffer.concat(files.map(name => readFileSync(join(folder, name))))
    assert.deepEqual(all, Buffer.concat([bytes, Buffer.alloc(12)]))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

// The recipients of the newest base, the pieces after it, whether a key is needed.
const ENCRYPTED = [
  [undefined, ['a.zst'], false],
  [['age1x'], ['a.zst.age'], true],
  // BACKUP_RECIPIENTS was set, or taken out, since the base.
  [undefined, ['a.zst', 'b.zst.age'], true],
  [['age1x'], ['a.zst'], true],
] as const

for (const [recipients, names, expected] of ENCRYPTED)
  void test(`a chain whose base has ${recipients ? 'recipients' : 'none'} and whose pieces are ${names.join(', ')}`, () => {
    const pieces = names.map(name => ({ name }))
    assert.equal(isEncrypted(recipients ? { recipients: [...recipients] } : {}, pieces), expected)
  })

void test('the moments that there are stand there as they can be typed, in the time of Paris', () => {
  const windows = [
    { from: '2026-10-24T23:59:58.4Z', to: '2026-11-20T02:15:05.9Z' },
    { from: '2026-11-22T02:15:05.001Z', to: '2026-11-29T11:59:56Z' },
  ]
  const { error: _, damage: _damage, ...known } = { ...state, windows }
  const text = archiveText({ ...known, drill: null, trouble: null }, new Date('2026-11-29T12:00:00Z'))
  const spans = /any moment (.*?) ·/.exec(text)?.[1]
  const said =
    'from 2026-10-25 01:59:59 (Paris) to 2026-11-20 03:15:05 (Paris), and from 2026-11-22 03:15:06 (Paris) to 4 s ago'
  assert.equal(spans, said)
})
