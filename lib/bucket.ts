// What backups ask of a bucket. Contents go from and to files, never as a whole through memory.
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Failure } from './errors.ts'
import type { Connection } from './s3.ts'

/** What a listing says of an object. */
export interface Listed {
  key: string
  bytes: number
  etag: string
  /** ISO 8601, UTC */
  modified: string
}

/** What else belongs to an object: what a browser is told, and what the app noted. */
type Headers = Pick<GetObjectCommandOutput, 'CacheControl' | 'ContentDisposition' | 'ContentEncoding' | 'ContentLanguage' | 'Metadata'>

/** An object, and the sha256 of its content. */
export interface Stored extends Listed {
  /** its content type */
  type: string
  headers: Headers
  sha256: string
}

/** A key for people: it may hold anything, a newline too. */
export const shown = (key: string) => JSON.stringify(key.length > 120 ? `${key.slice(0, 119)}…` : key)

const headersOf = ({ CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, Metadata }: Headers): Headers => ({
  CacheControl,
  ContentDisposition,
  ContentEncoding,
  ContentLanguage,
  Metadata,
})

/** All objects, a page of at most 1,000 at a time, in the order of their keys. */
export const listPages = async function* ({ s3, client, bucket, signal, doing }: Connection): AsyncGenerator<Listed[]> {
  // XML cannot carry every character that a key may have.
  const pages = s3.paginateListObjectsV2({ client }, { Bucket: bucket, EncodingType: 'url' }, { abortSignal: signal })
  for (;;) {
    const { value, done } = await doing('listing the files', () => pages.next())
    if (done) return
    yield (value.Contents ?? []).map(({ Key = '', Size = 0, ETag = '', LastModified }) => ({
      key: decodeURIComponent(Key.replaceAll('+', ' ')),
      bytes: Size,
      etag: ETag,
      modified: LastModified?.toISOString() ?? '',
    }))
  }
}

/** Writes a body to a new file, which is on the disk for good afterwards; gives its size and its sha256. */
const write = async (body: Readable, file: string, signal: AbortSignal) => {
  const hash = createHash('sha256')
  let bytes = 0
  const measured = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  await pipeline(body, measured, createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true }), { signal })
  return { bytes, sha256: hash.digest('hex') }
}

/** Brings an object into a new file; undefined when there is no such object (any more). */
export const download = ({ s3, client, bucket, signal, doing }: Connection, key: string, file: string): Promise<Stored | undefined> =>
  doing(`fetching ${shown(key)}`, async () => {
    const it = await client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal }).catch(error => {
      if (!(error instanceof s3.NoSuchKey)) throw error
    })
    if (!it) return undefined
    const { bytes, sha256 } = await write(it.Body as Readable, file, signal)
    if (bytes !== it.ContentLength) throw new Failure(`fetching ${shown(key)} failed: ${bytes} bytes came of ${it.ContentLength}`, { hint: 'run it again' })
    const { ETag: etag = '', LastModified, ContentType: type = '' } = it
    return { key, bytes, etag, modified: LastModified?.toISOString() ?? '', type, headers: headersOf(it), sha256 }
  })

/** Stores an object from a file and gives its new etag. The server refuses it when not the content of the sha256 arrives. */
export const upload = ({ s3, client, bucket, signal, doing }: Connection, it: Stored, file: string): Promise<string> =>
  doing(`storing ${shown(it.key)}`, async () => {
    const Body = createReadStream(file)
    const ChecksumSHA256 = Buffer.from(it.sha256, 'hex').toString('base64')
    const object = { Bucket: bucket, Key: it.key, Body, ContentLength: it.bytes, ContentType: it.type, ChecksumSHA256, ...headersOf(it.headers) }
    try {
      return (await client.send(new s3.PutObjectCommand(object), { abortSignal: signal })).ETag ?? ''
    } finally {
      Body.destroy()
    }
  })
