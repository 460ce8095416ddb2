// Files that may be larger than memory: they never pass through this process as a whole.
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fstatSync, fsyncSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openPlain, plainSize } from './files.ts'
import { capture, type RunOptions } from './run.ts'
import { say } from './progress.ts'
import { checkInterruption, interruption } from './signals.ts'

interface WriteOptions extends RunOptions {
  /** how large the file will be, as far as anybody knows: in bytes */
  estimate?: number | undefined
}

/**
 * Runs a command that writes a new file (0600), shows how far it is, and has the file on the disk for good. Throws a
 * Failure when it fails.
 */
export async function writeOutput(command: string[], file: string, { estimate, ...options }: WriteOptions) {
  const to = openSync(file, 'wx', 0o600)
  const progress = say.transfer(() => fstatSync(to).size, estimate)
  try {
    await capture(command, { ...options, to })
    fsyncSync(to)
  } finally {
    progress.end()
    closeSync(to)
  }
}

/** Runs a command that writes a file by itself, and shows how far it is. Throws a Failure when it fails. */
export async function showGrowth(command: string[], file: string, { estimate, ...options }: WriteOptions) {
  const progress = say.transfer(() => plainSize(file) ?? 0, estimate)
  try {
    await capture(command, options)
  } finally {
    progress.end()
  }
}

/**
 * Copies a file that others can write to into a new one (0600) that they cannot, on the disk for good. Throws a Failure
 * when it is not a plain file, or does not fit.
 */
export async function copyPlain(file: string, target: string) {
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

// Much more at a time only takes memory: what the file becomes is made in pieces of 64 KiB.
export const PIECE = 1 << 18

type Through = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

/**
 * The hash of a file's content in hexadecimal digits, or of what becomes of it on its way. A signal ends it with that
 * signal's Failure.
 */
export async function hashOf(file: string, algorithm: 'sha256' | 'md5', through?: Through) {
  const hash = createHash(algorithm)
  const source = createReadStream(file, { highWaterMark: PIECE })
  try {
    await (through
      ? pipeline(source, through, hash, { signal: interruption })
      : pipeline(source, hash, { signal: interruption }))
  } catch (error) {
    checkInterruption()
    throw error
  }
  return hash.digest('hex')
}

/** A file's size and sha256. */
export async function digest(file: string): Promise<Digest> {
  return {
    bytes: statSync(file).size,
    sha256: await hashOf(file, 'sha256'),
  }
}
