// What a recovery brings when the newest of what there is turns out to be damaged: here, off the site, or in both
// places.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { bringChain, mergeIndexes } from '../../lib/archive/fetch_chain.ts'
import { pieceName } from '../../lib/archive/positions.ts'
import { factsHere } from '../../lib/archive/reach.ts'
import { readPieces } from '../../lib/archive/shipped.ts'
import { chosenUpTo } from '../../lib/archive/stage_chain.ts'
import { checkSet } from '../../lib/backup/check_set.ts'
import { listSets } from '../../lib/backup/sets.ts'
import { bringAll } from '../../lib/setup/recover_bring.ts'
import { planRecovery, type SetThere } from '../../lib/setup/recover_plan.ts'
import { Failure } from '../../lib/system/errors.ts'
import type { Settings } from '../../lib/system/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'recover-bring-'))

// --- a bucket that lists and gives what lies in a folder
let bucket = ''
const inBucket = () =>
  readdirSync(bucket, { recursive: true, encoding: 'utf8' }).filter(it => statSync(join(bucket, it)).isFile())
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://bucket')
  if (searchParams.has('list-type')) {
    const prefix = searchParams.get('prefix') ?? ''
    const contents = inBucket()
      .filter(it => it.startsWith(prefix))
      .map(
        it =>
          `<Contents><Key>${it}</Key><Size>${statSync(join(bucket, it)).size}</Size><ETag>"x"</ETag>` +
          '<LastModified>2026-11-29T03:00:00.000Z</LastModified></Contents>',
      )
    response.end(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`)
    return
  }
  const file = join(bucket, pathname.replace('/away/', ''))
  response.setHeader('ETag', '"x"').setHeader('Last-Modified', 'Sun, 29 Nov 2026 03:00:00 GMT')
  response.end(readFileSync(file))
})
await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as { port: number }
after(() => {
  server.close()
  server.closeAllConnections()
  rmSync(folder, { recursive: true })
})

const settingsFor = (backups: string) =>
  ({
    BACKUP_DIR: backups,
    BACKUP_DAYS: 14,
    COMPOSE_PROJECT_NAME: 'avril',
    OFFSITE_ENDPOINT: `http://127.0.0.1:${port}`,
    OFFSITE_BUCKET: 'away',
    OFFSITE_ACCESS_KEY_ID: 'key',
    OFFSITE_SECRET_ACCESS_KEY: 'secret',
    OFFSITE_REGION: 'eu',
  }) as unknown as Settings

// --- a chain of a full base and three pieces, an hour each
const SEGMENT = 2 ** 24
const at = (hour: number) => new Date(Date.UTC(2026, 10, 29, hour)).toISOString()
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const nameOf = (hour: number) =>
  `${pieceName({ timeline: 1, start: hour * SEGMENT, end: (hour + 1) * SEGMENT }, at(hour + 1))}.zst`
const lsn = (hour: number) => `0/${(hour * SEGMENT).toString(16).toUpperCase()}`

const makeChain = (backups: string, begin: number) => {
  const name = `20261129T${String(begin).padStart(2, '0')}0000Z`
  const place = join(backups, 'archive', name)
  for (const kind of ['base', 'wal']) mkdirSync(join(place, kind), { recursive: true })
  const tar = `the data at ${begin}`
  writeFileSync(join(place, 'base', `${name}.tar.zst`), tar)
  const base = {
    version: 1,
    name,
    kind: 'full',
    chain: name,
    timeline: 1,
    startLsn: lsn(begin),
    stopLsn: lsn(begin + 1),
    startedAt: at(begin),
    endedAt: at(begin),
    bytes: tar.length,
    server: '18.1',
    systemIdentifier: '1',
    files: { [`${name}.tar.zst`]: { bytes: tar.length, sha256: sha256(tar) } },
  }
  writeFileSync(join(place, 'base', `${name}.json`), JSON.stringify(base))
  const hours = [begin, begin + 1, begin + 2]
  const line = (hour: number) => {
    const text = `WAL of ${hour}`
    writeFileSync(join(place, 'wal', nameOf(hour)), text)
    return JSON.stringify({ name: nameOf(hour), bytes: text.length, sha256: sha256(text), at: at(hour + 1) })
  }
  writeFileSync(join(place, 'wal', 'index.jsonl'), `${hours.map(line).join('\n')}\n`)
  writeFileSync(join(place, 'wal', 'complete.json'), JSON.stringify({ end: (begin + 3) * SEGMENT, at: at(begin + 3) }))
  return { name, place, wal: (hour: number) => join(place, 'wal', nameOf(hour)) }
}

/** The same bytes, with another one at the end: what a disk does. */
const spoil = (file: string) => writeFileSync(file, readFileSync(file, 'utf8').replace(/.$/, '?'))

const newBackups = () => {
  const backups = mkdtempSync(join(folder, 'backups-'))
  bucket = mkdtempSync(join(folder, 'bucket-'))
  return backups
}
const copyAway = (backups: string) => cpSync(backups, join(bucket, 'avril'), { recursive: true })

const thereIs = (backups: string, names: string[], until?: Date) =>
  names.flatMap(name => {
    const facts = factsHere(backups, name, until)
    return facts ? [{ ...facts, here: true, bytes: 0 }] : []
  })
const nameIn = ({ database }: ReturnType<typeof planRecovery>) =>
  database.kind === 'archive' ? database.chain.chain : database.set.name

void test('what is damaged here, with its size, is brought again from off the site', async () => {
  const backups = newBackups()
  const { name, wal, place } = makeChain(backups, 2)
  copyAway(backups)
  spoil(wal(3))
  spoil(join(place, 'base', `${name}.tar.zst`))
  const { damaged } = await bringChain(settingsFor(backups), name, true)
  assert.deepEqual(damaged, [])
  assert.equal(readFileSync(wal(3), 'utf8'), 'WAL of 3')
})

void test('a recovery takes what is whole off the site for what is damaged here', async () => {
  const backups = newBackups()
  const { name, wal } = makeChain(backups, 2)
  copyAway(backups)
  spoil(wal(3))
  const chains = thereIs(backups, [name])
  const away = chains.map(it => ({ ...it, here: false, bytes: 9 }))
  const { plan } = await bringAll(
    settingsFor(backups),
    planRecovery({ chains: [...chains, ...away], sets: [] }),
    undefined,
  )
  assert.deepEqual([nameIn(plan), plan.at, plan.lost.length], [name, at(5), 1])
})

void test('what was noted here is not lost to what the bucket says of it', async () => {
  const backups = newBackups()
  const { name, wal, place } = makeChain(backups, 2)
  copyAway(backups)
  const forged = join(bucket, 'avril', 'archive', name)
  const lie = (file: string) =>
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"sha256":"../g, '"sha256":"00'))
  lie(join(forged, 'wal', 'index.jsonl'))
  lie(join(forged, 'base', `${name}.json`))
  writeFileSync(join(forged, 'wal', nameOf(3)), 'of somebody else')
  const { damaged } = await bringChain(settingsFor(backups), name, true)
  assert.deepEqual(damaged, [])
  assert.equal(readFileSync(wal(3), 'utf8'), 'WAL of 3')
  assert.equal(readPieces(join(place, 'wal')).length, 3)
})

void test('an index grows by what is new alone', () => {
  assert.equal(mergeIndexes('a\nb\n', 'a\nc'), 'a\nb\nc\n')
  assert.equal(mergeIndexes('a\nb\nc\n', 'a\nb\n'), 'a\nb\nc\n')
})

void test('where the newest chain is worth nothing the one before it comes back', async () => {
  const backups = newBackups()
  const [old, young] = [makeChain(backups, 2), makeChain(backups, 10)]
  const first = planRecovery({ chains: thereIs(backups, [old.name, young.name]), sets: [] })
  assert.equal(nameIn(first), young.name)
  spoil(join(young.place, 'base', `${young.name}.tar.zst`))
  const { plan } = await bringAll(settingsFor(backups), first, undefined)
  assert.deepEqual([nameIn(plan), plan.at], [old.name, at(5)])
  assert.match(plan.lost[0] ?? '', /what comes later is damaged/)
  spoil(join(old.place, 'base', `${old.name}.tar.zst`))
  await assert.rejects(
    bringAll(settingsFor(backups), first, undefined),
    (error: unknown) => error instanceof Failure && error.exitCode === 65,
  )
})

void test('an earlier moment needs nothing of what is damaged behind it', () => {
  const backups = newBackups()
  const { name, wal } = makeChain(backups, 2)
  const time = new Date(Date.parse(at(3)) - 60_000)
  const damaged = [3, 4].map(hour => ({
    chain: name,
    text: '',
    range: { timeline: 1, start: hour * SEGMENT, end: (hour + 1) * SEGMENT, at: at(hour) },
  }))
  spoil(wal(3))
  const facts = factsHere(backups, name, time, damaged.slice(0, 1))
  assert.equal(facts?.reach.at, at(3))
  const { pieces } = chosenUpTo({ BACKUP_DIR: backups }, name, facts.reach, time)
  assert.deepEqual(
    pieces.map(it => it.name),
    [nameOf(2)],
  )
})

void test('a moment in a gap is none that a chain reaches, though it goes on from a later base', () => {
  const backups = newBackups()
  const { name, place, wal } = makeChain(backups, 2)
  const full = JSON.parse(readFileSync(join(place, 'base', `${name}.json`), 'utf8')) as object
  const later = '20261129T040000Z'
  writeFileSync(
    join(place, 'base', `${later}.json`),
    JSON.stringify({
      ...full,
      name: later,
      kind: 'incremental',
      previous: name,
      startLsn: lsn(4),
      stopLsn: lsn(5),
      startedAt: at(4),
      endedAt: at(4),
      files: {},
    }),
  )
  rmSync(wal(3))
  const inGap = new Date(Date.parse(at(3)) + 1_800_000)
  const reached = (until?: Date) => factsHere(backups, name, until)?.reach.at
  assert.deepEqual([reached(), reached(inGap)], [at(5), at(3)])
})

// --- sets
const makeSet = (backups: string, name: string, dump: string) => {
  const place = join(backups, name)
  mkdirSync(place)
  const files = { 'database.dump.age': dump, 'roles.json.age': 'the roles' }
  const digests = Object.entries(files).map(([file, text]) => {
    writeFileSync(join(place, file), text)
    const it = { bytes: text.length, sha256: sha256(text) }
    return [file, { ...it, plain: it }]
  })
  const manifest = {
    version: 1,
    name,
    made: at(Number(name.slice(-6, -4))),
    host: 'x',
    who: 'x',
    objects: null,
    recipients: ['age1x'],
    database: { name: 'avril', server: '18.1', tables: {} },
    files: Object.fromEntries(digests) as unknown,
  }
  writeFileSync(join(place, 'manifest.json'), JSON.stringify(manifest))
  return join(place, 'database.dump.age')
}
const setsIn = (backups: string, here: boolean): SetThere[] =>
  listSets(backups).sets.map(it => ({ ...it, here, bytes: 0 }))

const [EARLY, LATE] = ['avril-20261129T020003Z', 'avril-20261129T030000Z'] as const

void test('a set that is damaged here is brought from off the site, and without it the one before is taken', async () => {
  const backups = newBackups()
  makeSet(backups, EARLY, 'early')
  const dump = makeSet(backups, LATE, 'late')
  const sets = setsIn(backups, true)
  cpSync(backups, join(bucket, 'avril', 'sets'), { recursive: true })
  spoil(dump)
  await assert.rejects(checkSet(listSets(backups).sets[0]!), /database.dump.age of the set .* is not what it was/)
  const alone = await bringAll(settingsFor(backups), planRecovery({ chains: [], sets }), undefined)
  assert.equal(nameIn(alone.plan), EARLY)
  const both = planRecovery({ chains: [], sets: [...sets, ...sets.map(it => ({ ...it, here: false }))] })
  const { plan } = await bringAll(settingsFor(backups), both, undefined)
  assert.equal(nameIn(plan), LATE)
  assert.equal(readFileSync(dump, 'utf8'), 'late')
  assert.ok(existsSync(join(backups, `${LATE}.damaged`)))
})
