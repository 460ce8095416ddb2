import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chainsToRemove } from '../../lib/archive/offsite.ts'
import { type Bucket, lockAgain, type Protection } from '../../lib/backup/offsite/protection.ts'
import { outlivesRemoval, removeForGood } from '../../lib/backup/offsite/removal.ts'

class Command {
  readonly input: { VersionId?: string; ObjectLockRetainUntilDate?: Date }
  constructor(input: Command['input']) {
    this.input = input
  }
}
class DeleteObjectCommand extends Command {}
class GetObjectRetentionCommand extends Command {}
class ListObjectVersionsCommand extends Command {}
class PutObjectCommand extends Command {}
class PutObjectRetentionCommand extends Command {}

const answer = (status: number, name: string) =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode: status } })

/** A bucket with one version of an object, which says this to who removes it. */
const bucketOf = (protection: Protection, refusal: Error | undefined, until?: Date, offset = 0) => {
  const done: string[] = []
  const send = async (command: Command) => {
    if (command instanceof ListObjectVersionsCommand) return { Versions: [{ Key: 'a/probe', VersionId: 'v1' }] }
    if (command instanceof GetObjectRetentionCommand) return { Retention: { RetainUntilDate: until } }
    if (command instanceof PutObjectRetentionCommand && refusal) throw refusal
    const { VersionId, ObjectLockRetainUntilDate: lock } = command.input
    if (command instanceof PutObjectCommand) done.push(`put${lock ? ` ${lock.getFullYear()}` : ''}`)
    else if (VersionId !== undefined && refusal) throw refusal
    else done.push(`remove ${VersionId ?? 'by a mark'}`)
    return {}
  }
  const connection = {
    s3: {
      DeleteObjectCommand,
      GetObjectRetentionCommand,
      ListObjectVersionsCommand,
      PutObjectCommand,
      PutObjectRetentionCommand,
    },
    client: { send, config: { systemClockOffset: offset } },
    bucket: 'away',
    signal: undefined,
    withContext: <T>(_: string, work: () => Promise<T>) => work(),
  }
  const site = { connection, prefix: 'a', protection: () => Promise.resolve(protection), lockDays: 7 }
  return { site: site as unknown as Bucket, done }
}

const denied = answer(403, 'AccessDenied')
const worm = answer(400, 'InvalidRequest')
const [later, before] = [new Date(Date.now() + 60_000), new Date(Date.now() - 60_000)]

// How the bucket keeps, how it refuses, until when it is locked; what becomes of it, and what was done.
const REMOVALS: [Protection, Error | undefined, Date | undefined, boolean | Error, string[]][] = [
  ['none', undefined, undefined, true, ['remove by a mark']],
  ['versions', undefined, undefined, true, ['remove v1']],
  // A rule of the bucket removes former versions: it has to become one.
  ['versions', denied, undefined, true, ['remove by a mark']],
  ['lock', undefined, undefined, true, ['remove v1']],
  ['lock', denied, later, false, []],
  // What MinIO answers.
  ['lock', worm, later, false, []],
  // Not the lock, but the key: that is no night to be silent about.
  ['lock', denied, before, denied, []],
  ['lock', denied, undefined, denied, []],
  ['versions', answer(500, 'InternalError'), undefined, answer(500, 'InternalError'), []],
]

for (const [protection, refusal, until, outcome, steps] of REMOVALS)
  void test(`removing where there is ${protection}, ${refusal?.name ?? 'not refused'}, locked until ${until?.toISOString() ?? 'never'}`, async () => {
    const { site, done } = bucketOf(protection, refusal, until)
    const removal = removeForGood(site, 'a/probe')
    if (outcome instanceof Error) await assert.rejects(removal, { name: outcome.name })
    else assert.equal(await removal, outcome)
    assert.deepEqual(done, steps)
  })

for (const [protection, refusal, outlives] of [
  ['none', undefined, false],
  ['versions', undefined, false],
  ['versions', denied, true],
  ['lock', denied, true],
  ['lock', worm, true],
  ['lock', undefined, false],
] as const)
  void test(`the proof: ${protection}, ${refusal?.name ?? 'not refused'}: what was written is ${outlives ? 'there' : 'gone'}`, async () =>
    assert.equal(await outlivesRemoval(bucketOf(protection, refusal).site), outlives))

void test('a lock is of the clock of the other side: nobody takes back one that is years too long', async () => {
  const years = 10 * 365 * 86_400_000
  const { site, done } = bucketOf('lock', denied, undefined, -years)
  await outlivesRemoval(site)
  assert.deepEqual(done, [`put ${new Date(Date.now() - years).getFullYear()}`])
})

// A lock of seven days is refused: is what is there as good?
for (const [what, hours, isGood] of [
  ['longer', 8 * 24, true],
  ['one that was set a moment ago', 7 * 24 - 0.1, true],
  ['a shorter one', 6 * 24, false],
] as const)
  void test(`an object that is locked already: ${what}`, async () => {
    const { site } = bucketOf('lock', denied, new Date(Date.now() + hours * 3_600_000))
    const locking = lockAgain(site, ['a/probe'])
    await (isGood ? locking : assert.rejects(locking, { name: 'AccessDenied' }))
  })

const [A, B, C] = ['20261101T030000Z', '20261108T030000Z', '20261115T030000Z']
// What is off the site and in BACKUP_DIR, when; what is removed there.
for (const [there, here, maxDays, now, removed] of [
  [[A, B, C], [B, C], undefined, '2026-11-15', [A]],
  [[A, B, C], [A, B, C], undefined, '2026-11-16', []],
  // One that was locked that night is tried again.
  [[A, B, C], [C], undefined, '2026-11-30', [A, B]],
  // A server that has lost all: the newest stays.
  [[A, B], [], undefined, '2027-01-01', [A]],
  [[A], [], 7, '2027-01-01', []],
  [[A, B], [], 7, '2026-11-09', [A]],
  [[A, B], [], undefined, '2026-11-09', []],
] as const)
  void test(`chains off the site: ${there.length}, here ${here.length}, on ${now}: ${removed.length} go`, () =>
    assert.deepEqual(
      chainsToRemove(
        new Map(there.flatMap(name => [`${name}/wal/index.jsonl`, `${name}/base/${name}.json`].map(path => [path, 1]))),
        [...here],
        { days: 7, weeks: 0, months: 0, maxDays },
        new Date(`${now}T04:00:00Z`),
      ),
      removed,
    ))
