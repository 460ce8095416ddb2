import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShippedBase } from '../../lib/archive/shipped.ts'
import { type ChainReach, endsEarly, reachOf } from '../../lib/archive/reach.ts'
import { type ChainThere, planRecovery, type SetThere, transferOf } from '../../lib/setup/recover_plan.ts'
import { mistakesIn, newerButUseless } from '../../lib/setup/recover_doubts.ts'
import { withoutOptions } from '../../lib/cli/options.ts'
import { checkUnseen, recoverProposal } from '../../lib/cli/recover_actions.ts'
import { checkSetupWords } from '../../lib/cli/setup_options.ts'
import { Failure } from '../../lib/system/errors.ts'

// --- how far a chain brings a server back
const SEGMENT = 0x1000000
const lsn = (segment: number) => `0/${(segment * SEGMENT).toString(16).toUpperCase()}`

/** A base that begins with one segment and needs the WAL up to the end of it. */
const base = (name: string, segment: number, endedAt: string, previous?: string) =>
  ({
    name,
    endedAt,
    startLsn: lsn(segment),
    stopLsn: lsn(segment + 1),
    segment: SEGMENT,
    ...(previous === undefined ? {} : { previous }),
  }) as ShippedBase

const FULL = base('full', 2, '2026-11-22T03:00:00.000Z')
const SECOND = base('second', 5, '2026-11-23T03:00:00.000Z', 'full')

/** A piece for each of these segments, which was received that many hours after the full base. */
const pieces = (...segments: number[]) =>
  segments.map(segment => ({
    start: segment * SEGMENT,
    end: (segment + 1) * SEGMENT,
    at: new Date(Date.parse(FULL.endedAt) + segment * 3_600_000).toISOString(),
  }))

const at = (hours: number) => new Date(Date.parse(FULL.endedAt) + hours * 3_600_000).toISOString()
const complete = (segment: number) => ({ end: segment * SEGMENT, at: '2026-11-23T12:00:00.000Z' })

const whole = pieces(2, 3, 4, 5, 6)

for (const [what, bases, found, end, expected] of [
  ['nothing of its WAL', [FULL], [], undefined, undefined],
  ['no base', [], whole, complete(7), undefined],
  ['all of it', [FULL, SECOND], whole, complete(7), ['second', complete(7).at, false]],
  ['all of it, and no word of its end', [FULL, SECOND], whole, undefined, ['second', SECOND.endedAt, false]],
  ['a gap before the last base', [FULL, SECOND], pieces(2, 4, 5, 6), complete(7), ['second', complete(7).at, false]],
  ['a gap behind the last base', [FULL, SECOND], pieces(2, 3, 4, 5, 7), complete(8), ['second', SECOND.endedAt, true]],
  ['a gap right behind the last base', [FULL, SECOND], pieces(2, 3, 4, 6), complete(7), ['full', at(4), true]],
  ['the end lacks', [FULL], pieces(2, 3), complete(7), ['full', at(3), true]],
  ['a base that adds to one that is missing', [SECOND], whole, complete(7), undefined],
  ['pieces in disorder, and twice', [FULL], [...pieces(4, 3, 2), ...pieces(3)], undefined, ['full', at(4), false]],
] as [string, ShippedBase[], typeof whole, ReturnType<typeof complete> | undefined, unknown][])
  void test(`a chain with ${what}`, () => {
    const reach = reachOf(bases, found, end)
    assert.deepEqual(reach && [reach.base, reach.at, reach.broken], expected)
  })

for (const [what, to, last, expected] of [
  ['to its end', 0x3000200, 0x3000100, false],
  ['to the end of a segment that ends early', 0x4000028, 0x3000100, false],
  ['not to the end of the segment', 0x3f00000, 0x3000100, true],
  ['not to the segments behind', 0x7000000, 0x3000100, true],
] as [string, number, number, boolean][])
  void test(`WAL that is replayed ${what}`, () => assert.equal(endsEarly(to, last, SEGMENT), expected))

// --- what a site is brought back from
const [EARLY, NIGHT, LATE] = ['2026-11-22T03:00:00Z', '2026-11-23T03:00:00Z', '2026-11-23T11:00:00Z'] as const
const NOON = '2026-11-23T10:00:00.000Z'
const chain = (name: string, reachedAt: string, more: Partial<ChainThere & ChainReach> = {}) => {
  const { broken = false, here = false } = more
  const reach = { at: reachedAt, end: 1, base: name, broken }
  return {
    chain: name,
    from: more.from ?? EARLY,
    reach,
    size: more.size ?? 100,
    server: '18.1',
    recipients: undefined,
    here,
    bytes: here ? 0 : 100,
  } as ChainThere
}
const set = (name: string, made: string, { files = true, here = false, rows = 9, count = 1 } = {}) =>
  ({
    name,
    made,
    host: 'x',
    here,
    bytes: here ? 0 : 10,
    objects: files ? { count, bytes: 5 } : null,
    database: { tables: { letters: rows } },
  }) as unknown as SetThere

for (const [what, chains, sets, expected] of [
  ['the archive, which is newer', [chain('c', LATE)], [set('s', NIGHT)], ['c', LATE, 's', 110]],
  ['the newest chain', [chain('c', LATE), chain('d', NIGHT)], [set('s', EARLY)], ['c', LATE, 's', 110]],
  ['the set, when the chain ends before it', [chain('c', EARLY)], [set('s', NIGHT)], ['s', NIGHT, 's', 10]],
  ['the set, without an archive', [], [set('s', NIGHT), set('t', EARLY)], ['s', NIGHT, 's', 10]],
  ['the archive, without a set', [chain('c', LATE)], [], ['c', LATE, undefined, 100]],
  ['the files of an older set', [], [set('s', NIGHT, { files: false }), set('t', EARLY)], ['s', NIGHT, 't', 20]],
  [
    'what is here, of two as new',
    [chain('c', LATE), chain('c', LATE, { here: true })],
    [set('s', NIGHT, { here: true }), set('s', NIGHT)],
    ['c', LATE, 's', 0],
  ],
] as [string, ChainThere[], SetThere[], unknown][])
  void test(`a recovery takes ${what}`, () => {
    const plan = planRecovery({ chains, sets })
    const { database } = plan
    const name = database.kind === 'archive' ? database.chain.chain : database.set.name
    assert.deepEqual([name, plan.at, plan.files?.name, transferOf(plan)], expected)
  })

for (const [what, chains, expected] of [
  ['a chain that reaches it', [chain('c', LATE)], ['c', NOON]],
  ['the set before it, when no chain has begun by then', [chain('c', LATE, { from: LATE })], ['s', NIGHT]],
  ['the set before it, when the chain ends before it', [chain('c', EARLY)], ['s', NIGHT]],
] as [string, ChainThere[], unknown][])
  void test(`a recovery of an earlier moment takes ${what}, and of the sets none that is younger`, () => {
    const plan = planRecovery({ chains, sets: [set('s', NIGHT), set('young', LATE)] }, new Date(NOON))
    const { database } = plan
    const name = database.kind === 'archive' ? database.chain.chain : database.set.name
    assert.deepEqual([name, plan.at], expected)
    assert.equal(plan.files?.name, 's')
    assert.equal(plan.isPast, true)
  })

void test('a recovery says what does not come back', () => {
  const lost = (chains: ChainThere[], sets: SetThere[]) => planRecovery({ chains, sets }).lost.join('\n')
  assert.match(
    lost([chain('c', LATE, { broken: true })], []),
    /the chain c is not whole behind that\n.*no set that has/,
  )
  assert.match(lost([chain('c', EARLY)], [set('s', NIGHT)]), /the archive \(c\) ends at .* before that\nuploaded files/)
  assert.match(lost([], [set('s', NIGHT)]), /there is no archive that is whole/)
})

// --- the newest need not be the good one
const USUAL = [chain('c', NIGHT, { from: EARLY, size: 100 }), chain('d', LATE, { from: NIGHT, size: 90 })]
for (const [what, found, expected] of [
  ['a site as usual', { chains: USUAL, sets: [set('s', NIGHT), set('t', EARLY, { rows: 8 })] }, undefined],
  [
    'an empty site that was begun with the same .env',
    { chains: [USUAL[0]!, chain('d', LATE, { from: NIGHT, size: 4 })], sets: [] },
    /the base of d has 4 bytes, that of c 100 bytes: was an empty site begun.*--at 2026-11-23T03:00:00.000Z takes/,
  ],
  [
    'a set of an empty site',
    { chains: [], sets: [set('s', NIGHT, { rows: 0 }), set('t', EARLY, { rows: 8 })] },
    /s has 0 rows, and t has 8: was an empty site begun/,
  ],
  [
    'files that were not there',
    { chains: [], sets: [set('s', NIGHT, { count: 0 }), set('t', EARLY, { count: 812 })] },
    /s has 0 uploaded files, and t has 812/,
  ],
  [
    'two servers that ship to the same place',
    { chains: [chain('c', NOON), chain('d', LATE, { from: NIGHT })], sets: [] },
    /the chain c goes on until .*, after d had begun: two servers/,
  ],
  [
    'a time that is still to come',
    { chains: [chain('c', '2031-01-01T00:00:00.000Z')], sets: [] },
    /still to come: is the clock of this machine right/,
  ],
  [
    'a newer chain that brings nothing back',
    { chains: USUAL, sets: [], useless: [{ what: 'the chain e brings nothing back', begun: LATE }] },
    /the chain e brings nothing back, though it is newer: --as-of/,
  ],
  [
    'what the rules have left of an old chain',
    { chains: USUAL, sets: [], useless: [{ what: 'the chain b brings nothing back', begun: EARLY }] },
    undefined,
  ],
] as [string, Parameters<typeof planRecovery>[0], RegExp | undefined][])
  void test(`a recovery says to beware: ${what}`, () => {
    const plan = planRecovery(found)
    const doubts = [...mistakesIn(plan, new Date('2026-11-23T12:00:00Z')), ...newerButUseless(found, plan)].join('\n')
    if (expected) assert.match(doubts, expected)
    else assert.equal(doubts, '')
  })

for (const [how, options, isRefused] of [
  ['--yes alone', { yes: true }, true],
  ['a person who reads it', { yes: false }, false],
  ['--yes and --at', { yes: true, at: '2026-11-22' }, false],
  ['--yes and --as-of', { yes: true, 'as-of': '2026-11-22' }, false],
] as const)
  void test(`a recovery that may be the wrong one, with ${how}: ${isRefused ? 'refused' : 'done'}`, () => {
    const check = (mistakes: string[]) => () =>
      checkUnseen({ mistakes }, { at: undefined, 'as-of': undefined, ...options })
    assert.doesNotThrow(check([]))
    if (!isRefused) return assert.doesNotThrow(check(['two servers']))
    assert.throws(check(['two servers']), error => error instanceof Failure && error.exitCode === 78)
  })

void test('nothing to recover from is a wrong bucket, or a disk that is not mounted', () => {
  assert.throws(
    () => planRecovery({ chains: [], sets: [] }),
    (error: unknown) =>
      error instanceof Failure && error.exitCode === 64 && /OFFSITE_PREFIX.*--as-of/.test(error.hint ?? ''),
  )
})

void test('a site of several servers comes back on one, which is said first', () => {
  const shown = (more: object) =>
    recoverProposal(
      { ...planRecovery({ chains: [], sets: [set('s', NIGHT)] }), doubts: [], mistakes: [] },
      { POSTGRES_DB: 'avril', WHOST: 'a.example', ...more },
    ).text
  assert.match(shown({ SWARM: '10.0.0.1' }), /^site .*comes back on this one alone$/m)
  assert.doesNotMatch(shown({}), /alone/)
})

// --- the words
type Words = Parameters<typeof checkSetupWords>[0]
for (const [words, said] of [
  [{ recover: true, key: 'k', 'as-of': '-2h', yes: true }, undefined],
  [{ recover: true, 'dry-run': true, at: '-2h' }, undefined],
  [{ recover: true, host: 'x' }, '--recover is for a machine that has no site: it does not go with --host'],
  [{ recover: true, check: true }, '--recover is for a machine that has no site: it does not go with --check'],
  [{ recover: true, from: '/x' }, '--recover is for a machine that has no site: it does not go with --from'],
  [{ key: 'k' }, '--key goes with --recover'],
  [{ env: 'e' }, '--env goes with --recover'],
  [{ yes: true }, '--yes and --dry-run go with --from or --recover'],
  [{ recover: true, cutover: true }, '--cutover and --back go with --from'],
] as [Partial<Words>, string | undefined][])
  void test(`setup.ts ${JSON.stringify(words)}: ${said ?? 'is fine'}`, () => {
    const check = () => checkSetupWords(words as Words)
    if (said === undefined) check()
    else assert.throws(check, (error: unknown) => error instanceof Failure && error.message === said)
  })

void test('what a laptop keeps for itself of a command line', () => {
  const words = ['--recover', '--key', 'k', '--yes', '--env=e', '--keys', '--at', '-2h', '--env', 'f']
  assert.deepEqual(withoutOptions(words, ['key', 'env']), ['--recover', '--yes', '--keys', '--at', '-2h'])
})
