// The folder of the sets: whether it is there, can be written to, and has room.
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { size } from '../system/format.ts'
import { type BackupSet, sweepPartials } from './sets.ts'
import { bytesOf } from './manifest.ts'
import { freeSpace, noSpace } from '../system/disk_space.ts'
import { hasLinks } from '../system/mount.ts'

/** Makes the folder when it is missing. Throws a Failure (73) when it cannot be written to. */
export function openBackupFolder(folder: string) {
  try {
    // Not its parents: where a disk is not mounted they are missing, and the backups would fill the disk that they
    // shall outlive.
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Failure(`the folder of the backups cannot be written to: ${messageOf(error)}`, {
      exitCode: EXIT.cannotWrite,
      hint:
        'is its disk mounted (findmnt), does its parent folder exist (mkdir -p), and may this user write there? ' +
        'BACKUP_DIR in .env names it',
    })
  }
}

/** The same, and sweeps it, but what is to become a set of this name. Only under the data lock. */
export function prepareFolder(folder: string, but?: string) {
  openBackupFolder(folder)
  for (const name of sweepPartials(folder, but)) say.detail(`removed ${name}, which an interrupted backup left`)
}

/** Throws a Failure (74) when the folder has too little space for one more set. */
export function checkRoom(folder: string, previous: BackupSet | undefined, withFiles: boolean) {
  const free = freeSpace(folder)
  if (!previous) return
  const files = withFiles && previous.objects && !hasLinks(folder) ? previous.objects.bytes : 0
  const wanted = bytesOf(previous) * 1.5 + files
  if (free < wanted)
    throw noSpace(
      `${folder} has ${size(free)} left, and 1.5 times the last ` +
        `set${files > 0 ? ' and room for all uploaded files' : ''} (${size(wanted)}) is wanted`,
    )
}
