// What backups ask of a bucket. Contents go from and to files, never as a whole through memory.
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Encryptor, Key } from '../crypto/age.ts'
import { Failure } from '../system/errors.ts'
import { writeStream, type Written } from '../crypto/encrypted_files.ts'
import type { Connection } from './client.ts'

/** What a listing says of an object. */
export interface Listed {
  key: string
  bytes: number
  etag: string
  /** ISO 8601, UTC */
  modified: string
}

/** What else belongs to an object: what a browser is told, and what the app noted. */
type Headers = Pick<
  GetObjectCommandOutput,
  'CacheControl' | 'ContentDisposition' | 'ContentEncoding' | 'ContentLanguage' | 'Metadata'
>

/** An object, and the digest of its content. */
export interface Stored extends Listed, Written {
  /** its content type */
  type: string
  headers: Headers
}

/** A key for people: it may hold anything, a newline too. */
export function shown(key: string) {
  return JSON.stringify(key.length > 120 ? `${key.slice(0, 119)}…` : key)
}

const headersOf = ({
  CacheControl,
  ContentDisposition,
  ContentEncoding,
  ContentLanguage,
  Metadata,
}: Headers): Headers => ({
  CacheControl,
  ContentDisposition,
  ContentEncoding,
  ContentLanguage,
  Metadata,
})

// Two versions of an object would be taken for one if both were told apart by nothing.
const said = <T>(value: T | undefined, what: string, key: string) => {
  if (value !== undefined) return value
  throw new Failure(`the server says no ${what} of ${shown(key)}`, { hint: 'is it a server that speaks S3?' })
}

/** All objects whose keys begin so, a page of at most 1,000 at a time, in the order of their keys. */
export async function* listPages(
  { s3, client, bucket, signal, withContext }: Connection,
  prefix = '',
): AsyncGenerator<Listed[]> {
  // XML cannot carry every character that a key may have.
  const pages = s3.paginateListObjectsV2(
    { client },
    { Bucket: bucket, Prefix: prefix, EncodingType: 'url' },
    { abortSignal: signal },
  )
  for (;;) {
    const { value, done } = await withContext('listing the files', () => pages.next())
    if (done) return
    yield (value.Contents ?? []).map(({ Key = '', Size = 0, ETag, LastModified }) => ({
      key: decodeURIComponent(Key.replaceAll('+', ' ')),
      bytes: Size,
      etag: said(ETag, 'ETag', Key),
      modified: said(LastModified, 'LastModified', Key).toISOString(),
    }))
  }
}

/** All objects, by their keys. */
export async function listAll(connection: Connection) {
  const all = new Map<string, Listed>()
  for await (const page of listPages(connection)) for (const listed of page) all.set(listed.key, listed)
  return all
}

/** How large they are together. */
export function sumBytes(objects: Iterable<{ bytes: number }>) {
  let sum = 0
  for (const { bytes } of objects) sum += bytes
  return sum
}

/**
 * Brings an object, or a version of it, into a new file, encrypted with a encryptor; undefined when there is no such
 * object (any more).
 */
export function downloadObject(
  { s3, client, bucket, signal, withContext }: Connection,
  key: string,
  file: string,
  { encryptor, version = {} }: { encryptor?: Encryptor | undefined; version?: { VersionId?: string } } = {},
): Promise<Stored | undefined> {
  return withContext(`fetching ${shown(key)}`, async () => {
    const it = await client
      .send(new s3.GetObjectCommand({ Bucket: bucket, Key: key, ...version }), { abortSignal: signal })
      .catch(error => {
        if (!(error instanceof s3.NoSuchKey)) throw error
      })
    if (!it) return undefined
    const written = await writeStream(it.Body as Readable, file, encryptor, signal)
    if (written.bytes !== it.ContentLength)
      throw new Failure(`fetching ${shown(key)} failed: ${written.bytes} bytes came of ${it.ContentLength}`, {
        hint: 'run it again',
      })
    const etag = said(it.ETag, 'ETag', key)
    const modified = said(it.LastModified, 'LastModified', key).toISOString()
    return { key, etag, modified, type: it.ContentType ?? '', headers: headersOf(it), ...written }
  })
}

/**
 * Stores an object from a file, decrypted with a key, and gives its new etag. The server refuses it when not the
 * content of the sha256 arrives.
 */
export function uploadObject(
  { s3, client, bucket, signal, withContext }: Connection,
  it: Stored,
  file: string,
  decrypting?: Key,
): Promise<string> {
  return withContext(`storing ${shown(it.key)}`, async () => {
    const content = createReadStream(file)
    const Body = decrypting ? Readable.from(decrypting.open(content)) : content
    const ChecksumSHA256 = Buffer.from(it.sha256, 'hex').toString('base64')
    const object = {
      Bucket: bucket,
      Key: it.key,
      Body,
      ContentLength: it.bytes,
      ContentType: it.type,
      ChecksumSHA256,
      ...headersOf(it.headers),
    }
    try {
      const { ETag } = await client.send(new s3.PutObjectCommand(object), { abortSignal: signal })
      return said(ETag, 'ETag', it.key)
    } finally {
      Body.destroy()
    }
  })
}

/** Removes an object; one that is not there is no error. */
export function removeObject({ s3, client, bucket, signal, withContext }: Connection, key: string) {
  return withContext(`removing ${shown(key)}`, () =>
    client.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal }),
  )
}
