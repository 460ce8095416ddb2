// Files that may be larger than memory: they never pass through this process as a whole.
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fstatSync, fsyncSync, openSync, statSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { capture, type RunOptions } from './run.ts'
import { transfer } from './say.ts'
import { checkInterruption, interruption } from './signals.ts'

interface WriteOptions extends RunOptions {
  /** how large the file will be, as far as anybody knows: in bytes */
  estimate?: number | undefined
}

/** Runs a command that writes its output to a new file (0600), shows how far it is, and has the file on the disk for good. Throws a Failure when it fails. */
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

/** A file's hash in hexadecimal digits. A signal ends it with that signal's Failure. */
export const hashOf = async (file: string, algorithm: 'sha256' | 'md5') => {
  const hash = createHash(algorithm)
  try {
    await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash, { signal: interruption })
  } catch (error) {
    checkInterruption()
    throw error
  }
  return hash.digest('hex')
}

/** A file's size and sha256. */
export const digest = async (file: string) => ({ bytes: statSync(file).size, sha256: await hashOf(file, 'sha256') })
