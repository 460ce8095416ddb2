// A connection to an S3 server, and what its errors mean to people.
// Long, since what the library does otherwise than is wanted is set right here, each with its reason.
import { isUtf8 } from 'node:buffer'
import type { S3Client } from '@aws-sdk/client-s3'
import { badConfig, EXIT, Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { checkInterruption, onInterruption, sleep } from '../system/signals.ts'

/** Where a bucket is, and the key to it. */
export interface Place {
  /** the server's name for people: "minio" */
  server: string
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** what to do when it does not answer, when it refuses the key, and when it has no such bucket */
  hints: { unreachable: string; refused: string; noBucket: string }
}

const nothing = () => {}

const NO_ANSWER = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
])

const statusOf = (error: unknown) =>
  (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode

/** An error in the words of people; what is not the server's doing (a full disk) stays as it is. */
const explain = ({ server, bucket, hints }: Place, what: string, cause: unknown) => {
  if (cause instanceof Failure || !(cause instanceof Error)) return cause
  const { code = '' } = cause as NodeJS.ErrnoException
  const status = statusOf(cause)
  if (NO_ANSWER.has(code) || cause.name === 'TimeoutError')
    return new Failure(`${what} failed: ${server} does not answer (${code || 'it has been silent for 30 s'})`, {
      exitCode: EXIT.unreachable,
      hint: hints.unreachable,
      cause,
    })
  if (cause.name === 'NoSuchBucket')
    return badConfig(`${what} failed: ${server} has no bucket ${bucket}`, hints.noBucket)
  if (status === 401 || status === 403)
    return badConfig(`${what} failed: ${server} refuses the key (${cause.name})`, hints.refused)
  if (/CERT|SSL|TLS|EPROTO/.test(code))
    return new Failure(`${what} failed: no secure connection to ${server} (${code})`, {
      exitCode: EXIT.unreachable,
      hint: hints.unreachable,
      cause,
    })
  if (status === undefined) return cause
  return new Failure(`${what} failed: ${server} answered ${status} (${cause.name}: ${messageOf(cause)})`, {
    hint: hints.unreachable,
    cause,
  })
}

/** In milliseconds, before a second and a third attempt. */
const PAUSES = [1000, 4000]

const mayPass = (error: unknown): error is Failure =>
  error instanceof Failure && (error.exitCode === EXIT.unreachable || Number(statusOf(error.cause)) >= 500)

/**
 * Does something again when the server did not answer, or was not able to: a line that was cut is often there again a
 * moment later. The library does that by itself where nothing is streamed. Throws what the last attempt threw.
 */
export async function retry<T>(work: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES) {
    try {
      return await work()
    } catch (error) {
      if (!mayPass(error)) throw error
      say.detail(`${error.message}; once more`)
    }
    await sleep(pause)
  }
  return work()
}

type Headers = Record<string, string>

/** A step of the client's work that only changes the headers of the request. */
const onHeaders =
  (change: (headers: Headers, context: object) => void) =>
  <Args extends { request: unknown }, Out>(next: (args: Args) => Promise<Out>, context: object) =>
  (args: Args) => {
    change((args.request as { headers: Headers }).headers, context)
    return next(args)
  }

/** A header of which each byte is a character; in UTF-8, which servers take it for, also when it was none. */
const asUtf8 = (value: string) => {
  const bytes = Buffer.from(value, 'latin1')
  return isUtf8(bytes) ? value : Buffer.from(value, 'utf8').toString('latin1')
}

/**
 * Has headers with other characters than ASCII sent as they came, and not signed. Node reads and writes each byte of a
 * header as a character, and the client signs such characters as UTF-8: the server would find another signature. An
 * app stores names of files so (Content-Disposition). A signature need not have them, but those of x-amz-.
 */
const leaveUnsigned = ({ middlewareStack }: S3Client) => {
  const odd = new WeakMap<object, Headers>()
  const take = onHeaders((headers, context) => {
    const isOdd = ([name, value]: [string, string]) => !name.startsWith('x-amz-') && /[^\0-\x7F]/.test(value)
    const taken = Object.entries(headers).filter(isOdd)
    // A second attempt has them no more.
    odd.set(context, {
      ...odd.get(context),
      ...Object.fromEntries(taken.map(([name, value]) => [name, asUtf8(value)])),
    })
    for (const [name] of taken) delete headers[name]
  })
  const putBack = onHeaders((headers, context) => void Object.assign(headers, odd.get(context)))
  const signing = { toMiddleware: 'httpSigningMiddleware' }
  middlewareStack.addRelativeTo(take, { ...signing, relation: 'before', name: 'takeOddHeaders' })
  middlewareStack.addRelativeTo(putBack, { ...signing, relation: 'after', name: 'putOddHeadersBack' })
}

/**
 * Prepares a connection; nothing is asked of the server yet. Disposing of it ends it, and a signal ends what is under
 * way.
 */
export async function connect(place: Place) {
  // On Node 20 the client would write on every run that its releases of 2027 need a newer one; package-lock.json names
  // the one that runs here.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
  const s3 = await import('@aws-sdk/client-s3')
  const client = new s3.S3Client({
    endpoint: place.endpoint,
    region: place.region,
    credentials: { accessKeyId: place.accessKeyId, secretAccessKey: place.secretAccessKey },
    forcePathStyle: true,
    // AWS's own way of sending checksums is not known to every server; an upload carries the sha256 that the index has.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // It would write to stderr by itself.
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    // A server that was killed can leave a connection that stays silent for ever.
    requestHandler: { connectionTimeout: 5000, socketTimeout: 30_000 },
  })
  leaveUnsigned(client)
  const controller = new AbortController()
  const forget = onInterruption(() => controller.abort())
  const dispose = () => {
    forget()
    client.destroy()
  }
  /** Does something with the server; what it throws says what was being done. */
  const withContext = async <T>(what: string, work: () => Promise<T>) => {
    try {
      return await work()
    } catch (error) {
      checkInterruption()
      throw explain(place, what, error)
    }
  }
  return { s3, client, bucket: place.bucket, signal: controller.signal, withContext, dispose }
}

export type Connection = Awaited<ReturnType<typeof connect>>
