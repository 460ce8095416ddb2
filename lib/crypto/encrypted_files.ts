// Large files and streams, encrypted or decrypted on their way: they never pass through this process as a whole.
import { createHash } from 'node:crypto'
import { type Digest, hashOf, PIECE } from '../system/large_files.ts'
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { EXIT, Failure } from '../system/errors.ts'
import { type Encryptor, explainDecryption, type Key } from './age.ts'
import { checkInterruption, interruption } from '../system/signals.ts'

/** A content, and the file that holds it encrypted, if it is. */
export interface Written extends Digest {
  encrypted?: Digest
}

/**
 * The hash of a file's content in hexadecimal digits; with a key that of what is encrypted in it. Throws a Failure (65)
 * for what the key does not open, and that of a signal.
 */
export async function hashOfContent(file: string, algorithm: 'sha256' | 'md5', key: Key | undefined) {
  try {
    return await hashOf(file, algorithm, key?.open)
  } catch (error) {
    throw key ? explainDecryption(file, error) : error
  }
}

/** Measures what passes. */
const meter = () => {
  const hash = createHash('sha256')
  let bytes = 0
  const pass = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  return { pass, digest: (): Digest => ({ bytes, sha256: hash.digest('hex') }) }
}

/**
 * Writes a stream to a new file (0600), which is on the disk for good afterwards; encrypted and read back, with a
 * encryptor. Throws a Failure (65) when it is not what it should be then.
 */
export async function writeStream(
  body: AsyncIterable<Uint8Array>,
  file: string,
  encryptor: Encryptor | undefined,
  signal: AbortSignal,
): Promise<Written> {
  const [plaintext, sealed] = [meter(), meter()]
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true })
  const pass = (chunks: AsyncIterable<Uint8Array>) =>
    encryptor ? sealed.pass(encryptor.encrypt(plaintext.pass(chunks))) : plaintext.pass(chunks)
  try {
    await pipeline(body, pass, target, { signal })
  } finally {
    target.destroy()
    // A pipeline that is aborted ends before a file that is still being opened is made, which would come after its
    // caller has removed what there was.
    if (!target.closed) await new Promise<void>(closed => target.once('close', closed))
  }
  const content = plaintext.digest()
  if (!encryptor) return content
  if ((await hashOfContent(file, 'sha256', encryptor.verifyKey)) === content.sha256)
    return { ...content, encrypted: sealed.digest() }
  throw new Failure(`${file} was read back, and is not what was encrypted`, {
    exitCode: EXIT.data,
    hint: 'run it again; if it happens again look at the disk (dmesg)',
  })
}

/** Copies a file as writeStream writes. A signal ends it with that signal's Failure. */
const copyThrough = async (body: AsyncIterable<Uint8Array>, file: string, encryptor: Encryptor | undefined) => {
  try {
    return await writeStream(body, file, encryptor, interruption)
  } catch (error) {
    checkInterruption()
    throw error
  }
}

/** Encrypts a file into a new one, and reads that back. Throws a Failure (65) when it is not the same. */
export async function encryptFile(
  encryptor: Encryptor,
  file: string,
  target: string,
): Promise<Digest & { plain: Digest }> {
  const { encrypted, ...plain } = await copyThrough(createReadStream(file, { highWaterMark: PIECE }), target, encryptor)
  return { ...(encrypted as Digest), plain }
}

/** Decrypts a file into a new one (0600). Throws a Failure (65) when it is damaged, or the key does not fit. */
export async function decryptFile(key: Key, file: string, target: string): Promise<Digest> {
  try {
    return await copyThrough(key.open(createReadStream(file, { highWaterMark: PIECE })), target, undefined)
  } catch (error) {
    throw explainDecryption(file, error)
  }
}
