// What the night after a recovery removes off the site: the server that was recovered has few of the sets that are
// there.
import * as s3 from '@aws-sdk/client-s3'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { OffSite } from '../../lib/backup/offsite/layout.ts'
import { pruneOffsite } from '../../lib/backup/offsite/prune.ts'

const DAY = 86_400_000
const stamp = (days: number) =>
  new Date(Date.now() - days * DAY).toISOString().slice(0, 19).replaceAll(/[-:]/g, '') + 'Z'
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** A set of so many days ago, of one content; without its manifest it is what is left of one. */
const setOf = (days: number, hasManifest: boolean) => {
  const name = `avril-${stamp(days)}`
  const content = sha256(name)
  const list = `${content}  objects/${content.slice(0, 2)}/${content}\n`
  const digest = { bytes: 1, sha256: sha256(list) }
  const plain = { ...digest, plain: digest }
  const manifest = {
    version: 1,
    name,
    made: new Date(Date.now() - days * DAY).toISOString(),
    host: 'x',
    who: 'x',
    database: { name: 'avril', server: '18.1', tables: {} },
    files: {
      'database.dump.age': plain,
      'roles.json.age': plain,
      'objects.jsonl.age': plain,
      'objects.sha256': digest,
    },
    recipients: ['age1x'],
    objects: { count: 1, bytes: 1 },
  }
  return new Map([
    [`avril/sets/${name}/database.dump.age`, 'x'],
    [`avril/sets/${name}/objects.sha256`, list],
    [`avril/objects/${content.slice(0, 2)}/${content}`, 'x'],
    ...(hasManifest ? [[`avril/sets/${name}/manifest.json`, JSON.stringify(manifest)] as const] : []),
  ])
}

const prune = async (sets: Map<string, string>[]) => {
  const there = new Map(sets.flatMap(it => [...it]))
  const removed: string[] = []
  const send = async ({ constructor, input }: { constructor: { name: string }; input: Record<string, unknown> }) => {
    const key = String(input['Key'])
    if (constructor.name === 'DeleteObjectCommand') removed.push(key)
    const body = Readable.from([there.get(key) ?? ''])
    return { Body: Object.assign(body, { transformToString: async () => there.get(key) }) }
  }
  const withContext = (_: string, work: () => Promise<unknown>) => work()
  const asOf = new Map([...there].map(([key, text]) => [key, { versionId: '1', bytes: text.length }]))
  const connection = { s3, client: { send }, bucket: 'away', signal: new AbortController().signal, withContext }
  const site = { connection, prefix: 'avril', protection: async () => 'none', lockDays: 1, asOf }
  const gone = await pruneOffsite(site as unknown as OffSite, { days: 14, weeks: 0, months: 0 }, [])
  return { gone, removed }
}

const recent = [1, 2, 3].map(days => setOf(days, true))

void test('what a set has lost its manifest to is not removed before its time, nor what it is made of', async () => {
  const young = setOf(5, false)
  assert.deepEqual(await prune([...recent, young]), { gone: [], removed: [] })
  const old = setOf(40, true)
  const { gone, removed } = await prune([...recent, young, old])
  assert.equal(gone.length, 1)
  assert.deepEqual(removed.toSorted(), [...old.keys()].toSorted())
})

void test('what copies that were killed have left is removed when it is as old', async () => {
  const left = setOf(15, false)
  const { removed } = await prune([...recent, left])
  assert.deepEqual(removed.toSorted(), [...left.keys()].toSorted())
})
