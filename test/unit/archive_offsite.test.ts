// The archive off the site: a bucket that counts what it is sent, and that goes away.
import * as s3 from '@aws-sdk/client-s3'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, test } from 'node:test'
import { NOTHING_YET } from '../../lib/archive/archive_state.ts'
import { copyWalOffsite } from '../../lib/archive/offsite.ts'
import { foreignChains, type Offsite } from '../../lib/archive/offsite_listing.ts'
import { pieceName, timeInName } from '../../lib/archive/positions.ts'
import { addToIndex, writeComplete } from '../../lib/archive/shipped.ts'
import type { OffSite } from '../../lib/backup/offsite/layout.ts'
import { archiveTroubles } from '../../lib/status/archive_status.ts'
import { judge, type Known } from '../../lib/status/troubles.ts'
import { Failure } from '../../lib/system/errors.ts'
import { digest } from '../../lib/system/large_files.ts'

const CHAIN = '20261129T030000Z'
const folder = mkdtempSync(join(tmpdir(), 'archive-offsite-'))
after(() => rmSync(folder, { recursive: true }))

// A bucket of which all that is written is counted; when it is away it refuses all.
const bucketOf = (puts: string[], there: Map<string, { bytes: number; etag: string }>, is: { away: boolean }) => {
  const send = async ({ constructor, input }: { constructor: { name: string }; input: Record<string, unknown> }) => {
    const key = String(input['Key'])
    if (is.away) throw new Failure('the server off the site does not answer')
    if (constructor.name === 'HeadObjectCommand')
      return { ContentLength: there.get(key)?.bytes, ETag: there.get(key)?.etag }
    const chunks: Buffer[] = []
    for await (const chunk of input['Body'] as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    puts.push(key)
    there.set(key, { bytes: body.length, etag: `"${createHash('md5').update(body).digest('hex')}"` })
    return {}
  }
  const withContext = (_: string, work: () => Promise<unknown>) => work()
  const connection = { s3, client: { send }, bucket: 'away', signal: new AbortController().signal, withContext }
  const site = { connection, prefix: 'avril', protection: async () => 'versions', lockDays: 1, dispose: () => {} }
  return site as unknown as OffSite
}

/** A minute of a site: WAL that was written, or none; then a pass of the process that lives for an hour. */
const hours = async (minutes: { writes: boolean; away?: boolean }[]) => {
  const backups = mkdtempSync(join(folder, 'backups-'))
  const wal = join(backups, 'archive', CHAIN, 'wal')
  mkdirSync(wal, { recursive: true })
  const [puts, stored, is] = [[] as string[], new Map<string, { bytes: number; etag: string }>(), { away: false }]
  const site = bucketOf(puts, stored, is)
  const there: Offsite = new Map()
  let [end, isIndexed] = [0, false]
  const passes: ('good' | 'failed')[] = []
  for (const [minute, { writes, away = false }] of minutes.entries()) {
    const at = new Date(Date.UTC(2026, 10, 29, 4, minute)).toISOString()
    if (writes) {
      const name = `${pieceName({ timeline: 1, start: end, end: end + 10 }, at)}.zst.age`
      writeFileSync(join(wal, name), at)
      addToIndex(wal, { name, ...(await digest(join(wal, name))), at })
      end += 10
    }
    writeComplete(wal, { end, at })
    is.away = away
    if (minute % 60 === 0) isIndexed = false
    try {
      await copyWalOffsite(site, backups, there, !isIndexed)
      isIndexed = true
      passes.push('good')
    } catch {
      passes.push('failed')
    }
  }
  const names = puts.map(key => basename(key))
  return { passes, names, pieces: names.filter(it => it.endsWith('.age')), last: end / 10 }
}

void test('what is written anew off the site goes once an hour: a bucket may keep each version', async () => {
  const day = await hours(Array.from({ length: 180 }, () => ({ writes: true })))
  assert.equal(day.pieces.length, 180)
  assert.equal(day.names.filter(it => it === 'complete.json').length, 3)
  assert.equal(day.names.filter(it => it === 'index.jsonl').length, 3)
  // The name of the last piece tells up to when all is there.
  assert.equal(timeInName(day.pieces.at(-1)!), '2026-11-29T06:59:00Z')
  const idle = await hours(Array.from({ length: 120 }, (_, minute) => ({ writes: minute === 0 })))
  assert.equal(idle.names.length, 4)
})

void test('a bucket that is gone for an hour: each pass says so, and when it is back all is caught up, in order, nothing twice', async () => {
  const minutes = Array.from({ length: 80 }, (_, minute) => ({ writes: true, away: minute >= 10 && minute < 70 }))
  const { passes, pieces, last } = await hours(minutes)
  assert.equal(passes.filter(it => it === 'failed').length, 60)
  assert.deepEqual(passes.slice(70, 72), ['good', 'good'])
  assert.equal(pieces.length, last)
  assert.deepEqual(pieces, pieces.toSorted())
})

void test('of an hour without the bucket people hear twice: that it is so, with how far it is behind, and that it is over', () => {
  let known: Known = {}
  const told: string[] = []
  for (let minute = 0; minute < 90; minute += 1) {
    const now = new Date(Date.UTC(2026, 10, 29, 4, minute))
    const away = minute >= 10 && minute < 70
    const offsite = away
      ? { at: '2026-11-29T04:09:00Z', error: 'it does not answer' }
      : { at: now.toISOString(), error: '' }
    const base = { name: CHAIN, kind: 'full', endedAt: '2026-11-29T03:00:05Z' }
    const time = now.toISOString()
    const state = { ...NOTHING_YET, time, received: time, shipped: time, slot: 'reserved', base, offsite }
    const troubles = archiveTroubles(state, true, now)
    if (minute === 60) assert.deepEqual(troubles, ['what is off the site is 51 minutes behind: it does not answer'])
    const found = troubles.slice(0, 1).map(text => ({ about: 'archive', text, slow: true }))
    const { known: next, news } = judge(known, found, now, 2)
    known = news?.known ?? next
    if (news) told.push(news.text)
  }
  assert.equal(told.length, 2, told.join('\n'))
  assert.match(told[0]!, /^what is off the site is \d minutes behind: it does not answer/)
  assert.match(told[1]!, /^well again, after 5\d minutes/)
})

const REST = '00000001-0000000000000000-000000000000000A'
for (const [what, indexed, there, foreign] of [
  ['what is here is there', ['x'], ['x'], false],
  ['not all is there yet', ['x', 'y'], ['x'], false],
  ['BACKUP_DIR was put back', ['x'], ['x', 'y'], true],
  ['a file is damaged here, and not forgotten', ['x', 'gone'], ['x', 'gone'], false],
  ['others write to the bucket, too', ['x'], ['x', 'odd'], false],
] as const)
  void test(`a chain off the site is of another history: ${what}: ${foreign}`, async () => {
    const backups = mkdtempSync(join(folder, 'backups-'))
    const wal = join(backups, 'archive', CHAIN, 'wal')
    mkdirSync(wal, { recursive: true })
    const nameOf = (it: string) =>
      it === 'odd' ? 'odd.txt' : `${REST}-2026112${it.length}T0${it === 'y' ? 1 : 2}0000Z.zst.age`
    for (const it of indexed) {
      const [name, file] = [nameOf(it), join(wal, nameOf(it))]
      writeFileSync(file, it)
      addToIndex(wal, { name, ...(await digest(file)), at: '2026-11-29T04:00:00Z' })
      if (it === 'gone') rmSync(file)
    }
    writeComplete(wal, { end: 10, at: '2026-11-29T04:00:00Z' })
    const offsite: Offsite = new Map(there.map(it => [`${CHAIN}/wal/${nameOf(it)}`, 1]))
    assert.deepEqual(foreignChains(offsite, backups), foreign ? [CHAIN] : [])
    // Nothing more is brought to it.
    const puts: string[] = []
    await copyWalOffsite(bucketOf(puts, new Map(), { away: false }), backups, offsite, true)
    assert.equal(puts.length === 0, foreign)
  })
