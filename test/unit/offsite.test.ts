import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Failure } from '../../lib/system/errors.ts'
import { isOffsite } from '../../lib/backup/offsite/layout.ts'
import { measure } from '../../lib/backup/offsite/upload.ts'

const folder = mkdtempSync(join(tmpdir(), 'offsite-'))
after(() => rmSync(folder, { recursive: true }))

const md5 = (content: Buffer) => createHash('md5').update(content).digest()
const all = {
  OFFSITE_ENDPOINT: 'https://s3.example.org',
  OFFSITE_BUCKET: 'away',
  OFFSITE_ACCESS_KEY_ID: 'key',
  OFFSITE_SECRET_ACCESS_KEY: 'secret-secret',
}

// The pieces in which a file is read are larger, smaller and other than the parts.
for (const [bytes, partSize] of [
  [0, 10],
  [10, 10],
  [11, 10],
  [700_000, 100_000],
  [700_001, 300_000],
  [300_000, 1_000_000],
] as const) {
  void test(`${bytes} bytes in parts of ${partSize}: sizes, places and digests are those that a server finds`, async () => {
    const content = randomBytes(bytes)
    const file = join(folder, `${bytes}-${partSize}`)
    writeFileSync(file, content)
    const { sha256, etag, parts, ...measured } = await measure(file, partSize)
    assert.equal(sha256, createHash('sha256').update(content).digest('hex'))
    assert.equal(measured.bytes, bytes)
    const pieces = parts.map(it => content.subarray(it.start, it.start + it.bytes))
    assert.deepEqual(Buffer.concat(pieces), content)
    assert.ok(parts.every(it => it.bytes <= partSize))
    assert.deepEqual(
      parts.map(it => [it.number, it.md5]),
      pieces.map((piece, index) => [index + 1, md5(piece)]),
    )
    assert.equal(
      etag,
      parts.length === 1
        ? `"${md5(content).toString('hex')}"`
        : `"${md5(Buffer.concat(pieces.map(md5))).toString('hex')}-${parts.length}"`,
    )
  })
}

void test('sets are copied when all settings are there and sets are encrypted; half of them is an error', () => {
  assert.equal(isOffsite({}), false)
  assert.equal(isOffsite({ ...all, BACKUP_RECIPIENTS: ['age1x'] }), true)
  const ends = (words: RegExp) => (error: unknown) =>
    error instanceof Failure && error.exitCode === 78 && words.test(error.message)
  assert.throws(() => isOffsite(all), ends(/not encrypted/))
  assert.throws(
    () => isOffsite({ ...all, BACKUP_RECIPIENTS: ['age1x'], OFFSITE_BUCKET: undefined }),
    ends(/no OFFSITE_BUCKET/),
  )
  assert.throws(
    () => isOffsite({ OFFSITE_ENDPOINT: 'https://s3.example.org' }),
    ends(/no OFFSITE_BUCKET, OFFSITE_ACCESS_KEY_ID/),
  )
})
