// The folder of the sets: whether it is there, can be written to, and has room.
import { accessSync, constants, existsSync, mkdirSync, statfsSync } from 'node:fs'
import { EXIT, Failure, messageOf } from '../errors.ts'
import { hasLinks } from './backup_mount.ts'
import { say, size } from '../say.ts'
import { bytesOf, sweepPartials, type BackupSet } from './sets.ts'

/** In bytes, for who may not use what is reserved for root. */
export const freeSpace = (folder: string) => {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

export const noSpace = (message: string) =>
  new Failure(message, {
    exitCode: EXIT.noSpace,
    hint: 'no set was made, and none was removed; free some space there or enlarge the disk (scripts/backup.ts --list shows the sets)',
  })

/**
 * An error; when one of the folders has no space left, that instead. To be asked before what was written there is
 * removed.
 */
export const orFull = (error: unknown, ...folders: string[]) => {
  if (error instanceof Failure && error.exitCode === EXIT.noSpace) return error
  const full = folders.find(it => freeSpace(it) < 1_000_000)
  return full === undefined ? error : noSpace(`${full} is full: ${messageOf(error)}`)
}

/** Makes the folder when it is missing, and sweeps it. Throws a Failure (73) when it cannot be written to. */
export const prepareFolder = (folder: string) => {
  try {
    // Not its parents: where a disk is not mounted they are missing, and the backups would fill the disk that they
    // shall outlive.
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Failure(`the folder of the backups cannot be written to: ${messageOf(error)}`, {
      exitCode: EXIT.cannotWrite,
      hint: 'is its disk mounted (findmnt), does its parent folder exist (mkdir -p), and may this user write there? BACKUP_DIR in .env names it',
    })
  }
  for (const name of sweepPartials(folder)) say.detail(`removed ${name}, which an interrupted backup left`)
}

/** Throws a Failure (74) when the folder has too little space for one more set. */
export const checkRoom = (folder: string, former: BackupSet | undefined, withFiles: boolean) => {
  const free = freeSpace(folder)
  if (!former) return
  const files = withFiles && former.objects && !hasLinks(folder) ? former.objects.bytes : 0
  const wanted = bytesOf(former) * 1.5 + files
  if (free < wanted)
    throw noSpace(
      `${folder} has ${size(free)} left, and 1.5 times the last set${files > 0 ? ' and room for all uploaded files' : ''} (${size(wanted)}) is wanted`,
    )
}
