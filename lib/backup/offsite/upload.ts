// Stores a file off the site, and makes sure that it is there as it is here.
// Long, since a file in parts, and what becomes of those when it is stopped, has to be read together.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { EXIT, Failure } from '../../system/errors.ts'
import { type OffSite, readStream } from './layout.ts'
import { lockOf } from './protection.ts'
import { removeObject } from '../../s3/bucket.ts'
import { retry } from '../../s3/client.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import { checkInterruption } from '../../system/signals.ts'

/** In bytes. A larger file goes in parts: a server takes at most 5 GB at once, and 10,000 parts. */
const PART = 64 * 1024 * 1024

interface Part {
  number: number
  start: number
  bytes: number
  md5: Buffer
}

export interface StoreOptions {
  /** in bytes */
  partSize?: number
  /** called with the bytes of each part that has gone */
  onSent?: (bytes: number) => void
}

/** A file as it is sent, and what the server should say of it then. */
interface Measured {
  sha256: string
  bytes: number
  parts: Part[]
  etag: string
}

const partAt = (index: number, partSize: number) => ({
  number: index + 1,
  start: index * partSize,
  bytes: 0,
  hash: createHash('md5'),
})

/** Reads a file once. The etag is that which S3 servers make: an md5, or that of the parts' md5s. */
export async function measure(file: string, partSize = PART): Promise<Measured> {
  const whole = createHash('sha256')
  let part = partAt(0, partSize)
  const parts = [part]
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    checkInterruption()
    whole.update(chunk)
    for (let rest = chunk; rest.length > 0;) {
      if (part.bytes === partSize) parts.push((part = partAt(parts.length, partSize)))
      const piece = rest.subarray(0, partSize - part.bytes)
      part.hash.update(piece)
      part.bytes += piece.length
      rest = rest.subarray(piece.length)
    }
  }
  const hashed = parts.map(({ hash, ...it }) => ({ ...it, md5: hash.digest() }))
  const joined = createHash('md5')
    .update(Buffer.concat(hashed.map(({ md5 }) => md5)))
    .digest('hex')
  const etag = hashed.length === 1 ? `"${hashed[0]?.md5.toString('hex')}"` : `"${joined}-${hashed.length}"`
  return { sha256: whole.digest('hex'), bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0), parts: hashed, etag }
}

// With its md5 the server refuses what does not arrive as it was read.
const bodyOf = (file: string, { start, bytes, md5 }: Part) => {
  const Body = bytes === 0 ? '' : createReadStream(file, { start, end: start + bytes - 1 })
  return { Body, ContentLength: bytes, ContentMD5: md5.toString('base64') }
}

const storing = <T>({ connection: { withContext } }: OffSite, key: string, work: () => Promise<T>) =>
  withContext(`storing ${key} off the site`, work)

// A part is sent again by itself: not all that went before it.
const sending = <T>(site: OffSite, key: string, send: () => Promise<T>) => retry(() => storing(site, key, send))

const putWhole = async (site: OffSite, key: string, file: string, part: Part) => {
  const { s3, client, bucket, signal } = site.connection
  const object = { Bucket: bucket, Key: key, ContentType: 'application/octet-stream', ...(await lockOf(site)) }
  return sending(site, key, () =>
    client.send(new s3.PutObjectCommand({ ...object, ...bodyOf(file, part) }), { abortSignal: signal }),
  )
}

const putParts = async (site: OffSite, key: string, file: string, parts: Part[], onSent: (bytes: number) => void) => {
  const { s3, client, bucket, signal } = site.connection
  const place = { Bucket: bucket, Key: key }
  const { UploadId } = await client.send(
    new s3.CreateMultipartUploadCommand({ ...place, ContentType: 'application/octet-stream', ...(await lockOf(site)) }),
    { abortSignal: signal },
  )
  try {
    const Parts = await mapConcurrent(parts, async part => {
      const command = () =>
        new s3.UploadPartCommand({ ...place, UploadId, PartNumber: part.number, ...bodyOf(file, part) })
      const { ETag } = await sending(site, key, () => client.send(command(), { abortSignal: signal }))
      onSent(part.bytes)
      return { PartNumber: part.number, ETag }
    })
    await client.send(new s3.CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts } }), {
      abortSignal: signal,
    })
  } catch (error) {
    // One that stays, because the server is gone or this process is killed, is removed by the next run.
    await client.send(new s3.AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => {})
    throw error
  }
}

/**
 * What is wrong with an object; undefined when nothing is. Where the server's etag is no md5 (some encrypt) all of it
 * is read back.
 */
const troubleWith = async (site: OffSite, key: string, { bytes, etag, sha256 }: Measured) => {
  const { s3, client, bucket, signal } = site.connection
  const head = await client.send(new s3.HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal })
  if (head.ContentLength !== bytes) return `it has ${head.ContentLength} bytes there, and ${bytes} here`
  if (head.ETag === etag) return undefined
  const hash = createHash('sha256')
  for await (const chunk of await readStream(site, key)) hash.update(chunk as Buffer)
  return hash.digest('hex') === sha256 ? undefined : 'it has another content there'
}

/**
 * Stores a file under a key, and looks whether it is there then, with its size and its content. Throws a Failure: 65
 * when the file here is damaged (it has not the sha256 that it should have) and was not sent, 1 when it did not arrive
 * as it was sent: then it is removed again, so that it cannot be taken for good.
 */
export async function store(
  site: OffSite,
  key: string,
  file: string,
  sha256: string,
  { partSize, onSent = () => {} }: StoreOptions = {},
) {
  const measured = await measure(file, partSize)
  if (measured.sha256 !== sha256)
    throw new Failure(
      `${file} is damaged: it has not the sha256 that it had when it was saved, so it is not copied off the site`,
      {
        exitCode: EXIT.data,
        hint: 'look at the disk (dmesg); the sets before may be good: scripts/backup.ts --drill SET',
      },
    )
  await storing(site, key, async () => {
    const [part] = measured.parts
    if (part && measured.parts.length === 1) await putWhole(site, key, file, part).then(() => onSent(part.bytes))
    else await putParts(site, key, file, measured.parts, onSent)
    const trouble = await troubleWith(site, key, measured)
    if (trouble === undefined) return
    await removeObject(site.connection, key)
    throw new Failure(`${key} did not arrive off the site as it was sent: ${trouble}`, {
      hint: 'the next backup sends it again; if it happens again ask who runs that server',
    })
  })
}

/**
 * Ends the uploads in parts that were begun under the prefix and never completed; they take space and no listing shows
 * them. Only under the data lock.
 */
export async function abortUnfinished({ connection: { s3, client, bucket, signal, withContext }, prefix }: OffSite) {
  const { Uploads = [] } = await withContext('listing unfinished uploads off the site', () =>
    client.send(new s3.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}/` }), { abortSignal: signal }),
  )
  for (const { Key, UploadId } of Uploads)
    await withContext('ending an unfinished upload off the site', () =>
      client.send(new s3.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }), { abortSignal: signal }),
    )
}
