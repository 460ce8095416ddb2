// Files that are written whole or not at all, and read without following links.
// Long, since each way to write, read and compare one safely is here, once.
import { randomUUID } from 'node:crypto'
import {
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { detailsOf, EXIT, Failure, messageOf } from './errors.ts'

/** A name beside a file for what is to take its place: nobody can have put a link there before. */
export function partialBeside(file: string) {
  return join(dirname(file), `.${basename(file)}.${randomUUID()}.partial`)
}

/**
 * Replaces a file at once and for good: who reads it sees the old text or the new one, also after a power cut. Throws a
 * Failure when it cannot.
 */
export function replaceFile(file: string, text: string, mode = 0o644) {
  const partial = partialBeside(file)
  try {
    const descriptor = openSync(partial, 'wx', mode)
    try {
      writeSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(partial, file)
  } catch (error) {
    // rmSync has an error of its own where a part of the path is no folder.
    if (existsSync(partial)) rmSync(partial)
    throw new Failure(`${file} cannot be written: ${messageOf(error)}`, detailsOf(error))
  }
}

/** The same with a file that is there: it stays whose it is, and as it may be read. */
export function replaceContent(file: string, text: string) {
  const { mode, uid, gid } = statSync(file)
  replaceFile(file, text, mode & 0o777)
  const made = statSync(file)
  if (made.uid !== uid || made.gid !== gid) chownSync(file, uid, gid)
}

/** The text of a file; empty when there is none. */
export function readOrEmpty(file: string) {
  return readIfThere(file) ?? ''
}

/** The text of a file, or undefined when there is none. */
export function readIfThere(file: string) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** What a person's file of settings or of a table may have at most, in bytes. */
const SMALL = 1_000_000

/** The text of a file of a person, or of what a link leads to; undefined for what is none (a pipe), or is huge. */
export function readSmall(file: string) {
  const found = statSync(file, { throwIfNoEntry: false })
  return found?.isFile() && found.size <= SMALL ? readFileSync(file, 'utf8') : undefined
}

/** The size of a plain file; undefined when there is none, or something else: a link, a folder, a pipe. */
export function plainSize(file: string) {
  const found = lstatSync(file, { throwIfNoEntry: false })
  return found?.isFile() ? found.size : undefined
}

/**
 * Opens a file that others could have put there, for reading: a link is not followed, and a pipe, which would be waited
 * for without an end, is not read. Gives its descriptor. Throws a Failure for what is not a plain file, and what Node
 * throws when there is none.
 */
export function openPlain(file: string) {
  const descriptor = openUnfollowed(file)
  if (fstatSync(descriptor).isFile()) return descriptor
  closeSync(descriptor)
  throw notPlain(file)
}

const notPlain = (file: string) =>
  new Failure(`${file} is not a plain file: it is a link, a folder or a pipe`, {
    exitCode: EXIT.data,
    hint: 'it is not read; look who put it there (ls -l)',
  })

const openUnfollowed = (file: string) => {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw isOneOf(error, ['ELOOP', 'EMLINK', 'ENXIO']) ? notPlain(file) : error
  }
}

/** The text of such a file, or undefined when there is none. */
export function readPlainIfThere(file: string) {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined
  const descriptor = openPlain(file)
  try {
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Has a file, or the names in a folder, on the disk for good. Some file systems (SMB) know no such thing of folders.
 */
export function sync(path: string) {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } catch (error) {
    if (!isOneOf(error, ['EINVAL', 'ENOTSUP', 'ENOSYS']) || fstatSync(descriptor).isFile()) throw error
  } finally {
    closeSync(descriptor)
  }
}

const isOneOf = (error: unknown, codes: string[]) => codes.some(code => code === (error as NodeJS.ErrnoException).code)

// Linux and macOS, FUSE and SMB say it differently; the last two are another disk, and a file that has as many names as
// it may.
const NO_LINK = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EMLINK']

/**
 * Gives a file a second name; where there are no hard links, makes a copy, on the disk for good. The same may be asked
 * for twice at once.
 */
export async function linkOrCopy(file: string, target: string) {
  try {
    linkSync(file, target)
  } catch (error) {
    if (!isOneOf(error, NO_LINK)) throw error
    const partial = partialBeside(target)
    try {
      await copyFile(file, partial, constants.COPYFILE_EXCL)
      sync(partial)
      renameSync(partial, target)
    } finally {
      rmSync(partial, { force: true })
    }
  }
}

/**
 * The names in a folder; none when it is not there. Throws a Failure when it cannot be read: nobody knows then what is
 * in it.
 */
export function namesInFolder(folder: string) {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new Failure(`${folder} cannot be read: ${messageOf(error)}`, detailsOf(error))
  }
}
