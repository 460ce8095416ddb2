// Files that may be larger than memory: they never pass through this process as a whole.
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, createWriteStream, fstatSync, fsyncSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setFlagsFromString } from 'node:v8'
import { explainDecryption, type Key, type Sealer } from './backup/encryption.ts'
import { EXIT, Failure } from './errors.ts'
import { openPlain, plainSize } from './files.ts'
import { capture, type RunOptions } from './run.ts'
import { transfer } from './say.ts'
import { checkInterruption, interruption } from './signals.ts'

// V8 would let the garbage of streams grow before it collects it: some 40 MB more at the peak of an encrypted backup,
// for a tenth of its time. As an option of node it would have to stand before tsx. It is read at each collection, so
// that it works from here on too.
setFlagsFromString('--optimize-for-size')

interface WriteOptions extends RunOptions {
  /** how large the file will be, as far as anybody knows: in bytes */
  estimate?: number | undefined
}

/**
 * Runs a command that writes a new file (0600), shows how far it is, and has the file on the disk for good. Throws a
 * Failure when it fails.
 */
export const writeOutput = async (command: string[], file: string, { estimate, ...options }: WriteOptions) => {
  const to = openSync(file, 'wx', 0o600)
  const progress = transfer(() => fstatSync(to).size, estimate)
  try {
    await capture(command, { ...options, to })
    fsyncSync(to)
  } finally {
    progress.end()
    closeSync(to)
  }
}

/** Runs a command that writes a file by itself, and shows how far it is. Throws a Failure when it fails. */
export const showGrowth = async (command: string[], file: string, { estimate, ...options }: WriteOptions) => {
  const progress = transfer(() => plainSize(file) ?? 0, estimate)
  try {
    await capture(command, options)
  } finally {
    progress.end()
  }
}

/**
 * Copies a file that others can write to into a new one (0600) that they cannot, on the disk for good. Throws a Failure
 * when it is no plain file, or does not fit.
 */
export const copyPlain = async (file: string, target: string) => {
  const from = openPlain(file)
  try {
    await writeOutput(['cat'], target, {
      from,
      what: `copying it to ${dirname(target)}`,
      estimate: fstatSync(from).size,
    })
  } finally {
    closeSync(from)
  }
}

/** Size and sha256 of a content. */
export interface Digest {
  bytes: number
  sha256: string
}

/** A content, and the file that holds it encrypted, if it is. */
export interface Written extends Digest {
  encrypted?: Digest
}

// Much more at a time only takes memory: what the file becomes is made in pieces of 64 KiB.
const PIECE = 1 << 18

/**
 * The hash of a file's content in hexadecimal digits; with a key that of what is encrypted in it. A signal ends it with
 * that signal's Failure.
 */
export const hashOf = async (file: string, algorithm: 'sha256' | 'md5', key?: Key) => {
  const hash = createHash(algorithm)
  const source = createReadStream(file, { highWaterMark: PIECE })
  try {
    await (key
      ? pipeline(source, key.open, hash, { signal: interruption })
      : pipeline(source, hash, { signal: interruption }))
  } catch (error) {
    checkInterruption()
    throw key ? explainDecryption(file, error) : error
  }
  return hash.digest('hex')
}

/** A file's size and sha256. */
export const digest = async (file: string): Promise<Digest> => ({
  bytes: statSync(file).size,
  sha256: await hashOf(file, 'sha256'),
})

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
 * sealer. Throws a Failure (65) when it is not what it should be then.
 */
export const writeStream = async (
  body: AsyncIterable<Uint8Array>,
  file: string,
  sealer: Sealer | undefined,
  signal: AbortSignal,
): Promise<Written> => {
  const [clear, sealed] = [meter(), meter()]
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true })
  const pass = (chunks: AsyncIterable<Uint8Array>) =>
    sealer ? sealed.pass(sealer.seal(clear.pass(chunks))) : clear.pass(chunks)
  await pipeline(body, pass, target, { signal })
  const content = clear.digest()
  if (!sealer) return content
  if ((await hashOf(file, 'sha256', sealer.witness)) === content.sha256)
    return { ...content, encrypted: sealed.digest() }
  throw new Failure(`${file} was read back, and is not what was encrypted`, {
    exitCode: EXIT.data,
    hint: 'run it again; if it happens again look at the disk (dmesg)',
  })
}

/** Copies a file as writeStream writes. A signal ends it with that signal's Failure. */
const copyThrough = async (body: AsyncIterable<Uint8Array>, file: string, sealer: Sealer | undefined) => {
  try {
    return await writeStream(body, file, sealer, interruption)
  } catch (error) {
    checkInterruption()
    throw error
  }
}

/** Encrypts a file into a new one, and reads that back. Throws a Failure (65) when it is not the same. */
export const encryptFile = async (
  sealer: Sealer,
  file: string,
  target: string,
): Promise<Digest & { plain: Digest }> => {
  const { encrypted, ...plain } = await copyThrough(createReadStream(file, { highWaterMark: PIECE }), target, sealer)
  return { ...(encrypted as Digest), plain }
}

/** Decrypts a file into a new one (0600). Throws a Failure (65) when it is damaged, or the key does not fit. */
export const decryptFile = async (key: Key, file: string, target: string): Promise<Digest> => {
  try {
    return await copyThrough(key.open(createReadStream(file, { highWaterMark: PIECE })), target, undefined)
  } catch (error) {
    throw explainDecryption(file, error)
  }
}
