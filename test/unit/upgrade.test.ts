import { dumpedNotes } from '../../lib/upgrade/plan.ts'
import { upgradeText } from '../../lib/cli/status_report.ts'
import { upgradeStatus } from '../../lib/status/upgrade_status.ts'
import { Failure } from '../../lib/system/errors.ts'
import { begunText, notUpgradedText, upgradedText } from '../../lib/upgrade/tell_upgrade.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { upgradeProposal, upgradeUndoProposal } from '../../lib/cli/upgrade_report.ts'
import type { UpgradePlan } from '../../lib/upgrade/plan.ts'
import { overdueVolumes } from '../../lib/postgres/upgrade_note.ts'
import { statisticsFlags } from '../../lib/postgres/statistics.ts'

const PLAN: UpgradePlan = {
  from: { image: 'postgis/postgis:15-3.4', version: 15, volume: 'avril_postgres' },
  to: { image: 'postgis/postgis:18-3.6', version: 18, volume: 'avril_postgres_18_x' },
  bytes: 3_000_000,
  way: 'replication',
  obstacles: [],
  keeps: 1,
  restart: false,
  copiedLast: [],
  others: [],
  left: [],
  changed: [],
  restarts: [],
}

// What differs in a plan, what is said then, and what is not.
const CASES: [Partial<UpgradePlan>, RegExp, RegExp?][] = [
  [{}, /^way {9}replication: the site is read and written to until the switch$/m, /restart|last {8}|also|by hand/],
  [{ restart: true }, /^restart {5}of the old server, at once/m],
  [{ way: 'window', obstacles: ['--window'] }, /^way {9}a window: .* \(--window\)$/m, /^last/m],
  [{ copiedLast: ['a', 'b'] }, /^last {8}.*no key: a, b$/m],
  [{ copiedLast: 'abcdefghij'.split('') }, /: a, b, c, d, e, f, g, h and 2 more$/m],
  [
    { others: ['metabase'], left: ['avril_before_1'] },
    /also {8}the databases metabase\nnot {9}these stay in the old volume: avril_before_1/,
  ],
  [{ changed: ['work_mem = 9MB'] }, /^by hand {5}.*work_mem = 9MB$/m],
  [{}, /^kept {8}the volume avril_postgres, for 7 days; postgres_upgrade\.ts --undo/m],
]

const NO_HOOKS = { before: [], after: [] }

for (const [change, said, unsaid] of CASES)
  void test(`the plan of an upgrade with ${JSON.stringify(change)} says ${said}`, () => {
    const { text, question } = upgradeProposal({ ...PLAN, ...change }, 7, NO_HOOKS)
    assert.match(text, said)
    if (unsaid) assert.doesNotMatch(text, unsaid)
    assert.deepEqual(question, ['upgrading PostgreSQL', '18'])
  })

void test('the way back says what the site loses by it, and where that stays', () => {
  const { text } = upgradeUndoProposal({ from: PLAN.to, to: PLAN.from, since: new Date() }, NO_HOOKS)
  assert.match(text, /back to {5}PostgreSQL 15, the volume avril_postgres/)
  assert.match(text, /whatever was written since then\. It is in the volume that is kept/)
})

for (const [number, flags] of [
  [179_999, []],
  [180_000, ['--statistics']],
] as const)
  void test(`pg_dump of ${number} is told ${flags.join() || 'nothing of statistics'}`, () =>
    assert.deepEqual(statisticsFlags(number), flags))

const cluster = (volume: string) => ({
  image: 'i',
  volume,
  version: 15,
  settings: { POSTGRES_IMAGE: 'i', POSTGRES_VOLUME: volume },
})
const KEPT = [
  { ...cluster('young'), since: '2026-11-28T00:00:00Z' },
  { ...cluster('old'), since: '2026-11-20T00:00:00Z' },
]
const change = { since: '2026-11-29T00:00:00Z', former: cluster('x'), next: cluster('old') }

// Which volume is served, what is under way, and what goes after seven days.
for (const [live, more, removed] of [
  ['new', {}, ['old']],
  // Somebody has gone back to it by hand.
  ['old', {}, []],
  // Killed on the way back: it may be the one that is served.
  ['new', { under_way: change }, []],
] as const)
  void test(`while ${live} is served${'under_way' in more ? ', and a change did not end' : ''}, ${removed.join() || 'no volume'} goes`, () =>
    assert.deepEqual(overdueVolumes({ kept: KEPT, ...more }, 7, live, new Date('2026-11-30T00:00:00Z')), removed))

const upgrading = { since: '2026-11-29T02:00:00Z', former: cluster('old'), next: { ...cluster('new'), version: 18 } }
const back = { ...upgrading, former: upgrading.next, next: upgrading.former }
const work = (what: string) => ({ what, who: 'anne', pid: 7, since: '2026-11-29T02:00:00Z', step: 'copy' })
for (const [what, begun, doing, trouble, underWay] of [
  [
    'an upgrade that was killed',
    upgrading,
    undefined,
    /^the upgrade to PostgreSQL 18 .* did not end: tsx scripts\/postgres_upgrade\.ts$/,
    null,
  ],
  [
    'one that has the old server keep its log',
    { ...upgrading, had: {} },
    undefined,
    /did not end, and the server keeps for it what is written: tsx/,
    null,
  ],
  [
    'a way back that was killed',
    back,
    undefined,
    /^the way back to PostgreSQL 15 .*: tsx scripts\/postgres_upgrade\.ts --undo$/,
    null,
  ],
  ['one that was killed, while somebody backs up', upgrading, work('backing up'), /did not end/, null],
  [
    'one that is at work',
    upgrading,
    work('upgrading PostgreSQL'),
    null,
    /^anne is upgrading PostgreSQL \(process 7\), step copy$/,
  ],
  ['a way back that is at work', back, work('going back to the former PostgreSQL'), null, /^anne is going back/],
] as const)
  void test(`status.ts says of ${what} what to do`, () => {
    const status = upgradeStatus(begun, doing)
    for (const [said, expected] of [
      [status.trouble, trouble],
      [status.underWay, underWay],
    ] as const)
      if (expected === null) assert.equal(said, null)
      else assert.match(said ?? '', expected)
    assert.match(upgradeText(status) ?? '', /postgres {2}\S/)
  })

void test('status.ts says nothing where no upgrade has begun', () => assert.equal(upgradeText(undefined), undefined))

const about = { kind: 'upgrade', from: 15, to: 18, kept: 'avril_postgres' } as const
const done = { tables: 52, rows: 1204, lost: [], waited: { switch: 3.14 } }
for (const [what, text, expected] of [
  ['the beginning of an upgrade', begunText(about, 'anne'), 'anne has begun the upgrade of PostgreSQL 15 to 18'],
  [
    'an upgrade',
    upgradedText(about, done, 48_200, 'anne'),
    'PostgreSQL 18 serves the site, brought by anne in 48.2 s; 1,204 rows in 52 tables are the same in both; ' +
      'requests waited for 3.1 s at most. The way back: tsx scripts/postgres_upgrade.ts --undo',
  ],
  [
    'a way back',
    upgradedText({ ...about, kind: 'undo', from: 18, to: 15 }, { ...done, tables: 0, rows: 0 }, 9000, 'anne'),
    'PostgreSQL 15 serves the site again, brought by anne in 9.0 s; requests waited for 3.1 s at most. Forward ' +
      'again: tsx scripts/postgres_upgrade.ts --undo',
  ],
  [
    'an upgrade that brought not all',
    upgradedText(about, { ...done, lost: ['an index'] }, 9000, 'anne'),
    'PostgreSQL 18 serves the site, brought by anne in 9.0 s; 1,204 rows in 52 tables are the same in both, but 1 ' +
      'object could not be made again; requests waited for 3.1 s at most. The way back: tsx ' +
      'scripts/postgres_upgrade.ts --undo',
  ],
  [
    'one that failed',
    notUpgradedText(about, new Failure('no room\n  df says', { hint: 'free some' }), 1000, 'anne'),
    'the upgrade of PostgreSQL 15 to 18 by anne failed after 1.0 s: no room; free some',
  ],
] as const)
  void test(`people hear of ${what}`, () => assert.equal(text, expected))

const COLUMN = 'ALTER TABLE ONLY public.t ALTER COLUMN id SET '
for (const [what, schema, expected] of [
  ['leaves out what its server notes', `CREATE TABLE public.t (\n    id integer\n);\n${COLUMN}(n_distinct=5);\n`, []],
  ['does not know it', `${COLUMN}(pg_attver=58087984);\n`, ['pg_attver']],
  ['does not know it, beside what people set', `${COLUMN}(n_distinct=5, pg_attver=58087984);\n`, ['pg_attver']],
  ['has it in the text of a function alone', `  perform 'pg_attver=1';\n`, []],
] as const)
  void test(`a pg_dump that ${what} is ${expected.length > 0 ? 'of an older release' : 'as good as the server'}`, () =>
    assert.deepEqual(dumpedNotes(['pg_attver'], schema), expected))
