import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRestoreWords, RESTORE_OPTIONS } from '../../lib/cli/restore_options.ts'
import type { Values } from '../../lib/cli/options.ts'
import { wholeServerProposal, wholeServerUndoProposal } from '../../lib/cli/whole_server_report.ts'
import { hasSwitched } from '../../lib/upgrade/switch.ts'
import type { WholeServerPlan } from '../../lib/upgrade/whole_server.ts'

const PLAN: WholeServerPlan = {
  source: 'the end of the WAL',
  database: 'avril',
  moment: {
    target: { kind: 'end' },
    kept: new Date('2026-11-25T13:32:09.734Z'),
    dropped: undefined,
    bases: ['20261122T031500Z'],
    wal: 33_600_000,
    seconds: 1.1,
  },
  image: 'postgis/postgis:18-3.6',
  version: 18,
  bytes: 1_500_000_000,
  free: 80_000_000_000,
  databases: ['avril', 'metabase', 'postgres'],
  roles: ['avril', 'reader'],
  after: { 'public.meetings': 1500 },
  rows: 1507,
  collations: undefined,
  from: { version: 18, volume: 'avril_postgres', state: 'does not answer' },
  to: { version: 18, volume: 'avril_postgres_18_x' },
  now: undefined,
  returning: [],
  restarts: ['avril-phoenix-1'],
}
const SERVES = { version: 18, volume: 'avril_postgres', state: 'serves' as const }

// What differs in a plan, what is said then, and what is not.
const PLANS: [Partial<WholeServerPlan>, RegExp, RegExp?][] = [
  [{}, /^rows now {4}cannot be told: the server does not answer$/m, /→/],
  [{}, /^lost {8}what was committed behind the last transaction that is kept; .* cannot be told$/m],
  [{ from: { ...SERVES, state: 'is not there' } }, /^rows now {4}cannot be told: the server is not there$/m],
  [{ from: { ...SERVES, state: 'cannot be read' } }, /^rows now {4}cannot be told: the server cannot be read$/m],
  [{ from: SERVES, now: { 'public.meetings': 801 } }, /public\.meetings: 801 → 1,500$/m, /cannot be told/],
  [{ from: SERVES, now: { 'public.meetings': 801 } }, /^lost to {5}the site: .* stays in the volume that is kept$/m],
  [{}, /^by {10}the base 20261122T031500Z, and 33\.6 MB of the WAL$/m],
  [{ moment: { ...PLAN.moment, bases: ['a', 'b', 'c'] } }, /^by {10}the base a and 2 that add to it, and/m],
  [{}, /^to {10}PostgreSQL 18, the volume avril_postgres_18_x: 1\.5 GB, .*; 80\.0 GB are left/m],
  [{}, /^databases {3}avril, metabase, postgres: all of the server, 1,507 rows/m],
  [{}, /^roles {7}avril, reader; avril and app with the password of \.env, the others with that of then$/m, /warning/],
  [{}, /^roles/m, /come back/],
  [{ returning: ['reader', 'anne'] }, /^come back {3}the roles reader, anne, which are gone now$/m],
  [{ collations: 'indexes were sorted' }, /^warning {5}indexes were sorted$/m],
  [{}, /^kept {8}the volume avril_postgres as it is, for 7 days; backup_restore\.ts --whole-server --undo/m],
]

for (const [change, said, unsaid] of PLANS)
  void test(`the plan of a whole server with ${JSON.stringify(change)} says ${said}`, () => {
    const { text, question } = wholeServerProposal({ ...PLAN, ...change }, 7, ['avril', 'app'], {
      before: [],
      after: [],
    })
    assert.match(text, said)
    if (unsaid) assert.doesNotMatch(text, unsaid)
    assert.deepEqual(question, ['replacing the whole server', 'avril'])
  })

void test('the way back says what the site loses by it, and asks for the name of the database', () => {
  const [from, to] = [PLAN.to, PLAN.from]
  const { text, question } = wholeServerUndoProposal({ from, to, since: new Date() }, 'avril', {
    before: [],
    after: [],
  })
  assert.match(text, /^back to {5}the volume avril_postgres, PostgreSQL 18/)
  assert.match(text, /whatever was written since then/)
  assert.equal(question?.[1], 'avril')
})

const NONE = Object.fromEntries(
  Object.entries(RESTORE_OPTIONS).map(([name, option]) => [name, 'value' in option ? undefined : false]),
) as Values<typeof RESTORE_OPTIONS>

// What goes with --whole-server, and what does not.
for (const [more, name, isGood] of [
  [{}, undefined, true],
  [{ at: '14:32', key: 'k' }, undefined, true],
  [{ 'before-deploy': true }, 'abcdef', true],
  [{ undo: true }, undefined, true],
  [{ undo: true, at: '14:32' }, undefined, false],
  [{ undo: true, key: 'k' }, undefined, false],
  [{}, 'latest', false],
  [{ into: 'look' }, undefined, false],
  [{ files: true }, undefined, false],
  [{ 'files-only': true }, undefined, false],
  [{ 'no-owner': true }, undefined, false],
  [{ tables: 'meetings' }, undefined, false],
] as [Partial<Values<typeof RESTORE_OPTIONS>>, string | undefined, boolean][])
  void test(`--whole-server with ${JSON.stringify(more)} ${name ?? ''} is ${isGood ? 'taken' : 'refused'}`, () => {
    const check = () => checkRestoreWords({ ...NONE, 'whole-server': true, ...more }, name)
    if (isGood) check()
    else assert.throws(check, { exitCode: 64 })
  })

const next = { image: 'i', volume: 'new', version: 18, settings: { POSTGRES_IMAGE: '', POSTGRES_VOLUME: 'new' } }
const running = (volume: string) => ({ running: true, volume })

// What was being changed, which volume .env names, whose server runs, and whether the switch was made.
for (const [change, named, there, isMade] of [
  [{ next }, 'old', running('old'), false],
  [{ next }, 'old', undefined, false],
  [{ next }, 'new', undefined, true],
  [{ next }, 'new', running('old'), false],
  [{ next }, 'new', { running: false, volume: 'old' }, true],
  [{ next, moment: 'm' }, 'old', running('old'), false],
  [{ next, moment: 'm' }, 'old', undefined, false],
  // A server without data restarts for ever, and serves nobody.
  [{ next, moment: 'm' }, 'new', running('old'), true],
  // Going back was killed: the place was given back already.
  [{ next, moment: 'm' }, 'old', running('new'), false],
] as const)
  void test(`.env names ${named}, ${there ? `the server of ${there.volume} ${there.running ? 'runs' : 'is stopped'}` : 'there is no server'}: ${'moment' in change ? 'a restore' : 'an upgrade'} ${isMade ? 'is made' : 'is not made'}`, () =>
    assert.equal(hasSwitched(change, named, there), isMade))
