// What a disk still takes.
import { statfsSync } from 'node:fs'
import { EXIT, Failure, messageOf } from './errors.ts'

/** In bytes, for who may not use what is reserved for root. */
export function freeSpace(folder: string) {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

/** Nothing else is said than what holds for whoever reads or writes there. */
export function noSpace(message: string) {
  return new Failure(message, {
    exitCode: EXIT.noSpace,
    hint:
      'free some space there (df -h; scripts/backup.ts --list shows the sets) or enlarge the disk, then run this ' +
      'again',
  })
}

/**
 * An error; when one of the folders has no space left, that instead. To be asked before what was written there is
 * removed.
 */
export function asDiskFull(error: unknown, ...folders: string[]) {
  if (error instanceof Failure && error.exitCode === EXIT.noSpace) return error
  const full = folders.find(it => freeSpace(it) < 1_000_000)
  return full === undefined ? error : noSpace(`${full} is full: ${messageOf(error)}`)
}
