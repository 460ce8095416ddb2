// Files that may be larger than memory: they never pass through this process as a whole.
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fstatSync, fsyncSync, openSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { capture, type RunOptions } from './run.ts'
import { transfer } from './say.ts'
import { interruption } from './signals.ts'

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

/** A file's size and sha256. */
export const digest = async (file: string) => {
  const hash = createHash('sha256')
  let bytes = 0
  const stream = createReadStream(file, { highWaterMark: 1 << 20 })
  stream.on('data', chunk => (bytes += chunk.length))
  await pipeline(stream, hash, { signal: interruption })
  return { bytes, sha256: hash.digest('hex') }
}
