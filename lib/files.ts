import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { root } from './config.ts'
import { Failure, messageOf } from './errors.ts'

/** Where the scripts keep what they know: lock, history, the rollout that is under way. */
const STATE = join(root, '.state')

export const statePath = (name: string) => join(STATE, name)

/** The same for who writes: the folder is made. */
export const stateFile = (name: string) => {
  mkdirSync(STATE, { recursive: true, mode: 0o700 })
  return statePath(name)
}

/** Replaces a file at once and for good: who reads it sees the old text or the new one, also after a power cut. Throws a Failure when it cannot. */
export const replaceFile = (file: string, text: string, mode = 0o644) => {
  const partial = join(dirname(file), `.${basename(file)}.partial`)
  try {
    const descriptor = openSync(partial, 'w', mode)
    try {
      writeSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(partial, file)
  } catch (error) {
    rmSync(partial, { force: true })
    throw new Failure(`${file} cannot be written: ${messageOf(error)}`, { cause: error, hint: 'is the disk full (df -h), and may this user write there?' })
  }
}

/** The text of a file, or undefined when there is none. */
export const readIfThere = (file: string) => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Has a file, or the names in a folder, on the disk for good. */
export const sync = (path: string) => {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Adds a line of JSON to a file of the state that is only ever added to. */
export const appendLine = (name: string, entry: object) => appendFileSync(stateFile(name), `${JSON.stringify(entry)}\n`, { mode: 0o600, flush: true })

/** All entries of such a file, oldest first. A line that was cut by a power failure is left out. */
export const readLines = <Entry>(name: string): Entry[] =>
  (readIfThere(statePath(name)) ?? '').split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as Entry]
    } catch {
      return []
    }
  })

/** The names in a folder; none when it cannot be read. */
export const namesInFolder = (folder: string) => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
