// What the file system that the sets lie on lacks: on FAT, exFAT, a FUSE or an SMB mount they are made all the same.
import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure, messageOf } from '../errors.ts'
import { attempt } from '../run.ts'
import { size } from '../say.ts'
import { unless, warning, type Finding } from '../setup/findings.ts'
import { listSets } from './sets.ts'

export interface MountFacts {
  /** BACKUP_DIR, or the one that it will lie in */
  folder: string
  /** of the file system: "exfat" */
  type: string
  /** what becomes there of a file that is made for its owner alone */
  mode: number
  isOwn: boolean
  hasLinks: boolean
  /** of the uploaded files of the newest set, in bytes */
  files: number
}

const TRIAL = '.avril-trial-'

/**
 * Tries something out in a new folder there, which is removed again. Throws a Failure (73) when it cannot be written
 * to.
 */
const tryIn = <T>(folder: string, act: (file: string) => T) => {
  let trial
  try {
    trial = mkdtempSync(join(folder, TRIAL))
    const file = join(trial, 'file')
    writeFileSync(file, '', { mode: 0o600 })
    return act(file)
  } catch (error) {
    throw new Failure(`${folder} cannot be written to: ${messageOf(error)}`, {
      exitCode: EXIT.cannotWrite,
      cause: error,
      hint: 'is its disk mounted, and not read-only (findmnt)? May this user write there (sudo)?',
    })
  } finally {
    if (trial !== undefined) rmSync(trial, { recursive: true, force: true })
  }
}

const canLink = (file: string) => {
  try {
    linkSync(file, `${file}.link`)
    return true
  } catch {
    return false
  }
}

const modeOf = (file: string) => statSync(file).mode & 0o777

/** Whether what is made there for its owner alone stays so. */
export const keepsModes = (folder: string) => tryIn(folder, file => modeOf(file) === 0o600)

/** Whether unchanged files can be shared between the sets of a folder. */
export const hasLinks = (folder: string) => tryIn(folder, canLink)

export const readMount = async (folder: string): Promise<MountFacts> => {
  const type = (
    await attempt(['findmnt', '--noheadings', '--first-only', '--output=FSTYPE', '--target', folder])
  ).stdout.trim()
  const tried = tryIn(folder, file => ({
    mode: modeOf(file),
    isOwn: statSync(file).uid === process.getuid?.(),
    hasLinks: canLink(file),
  }))
  return { folder, type, ...tried, files: listSets(folder).sets.find(({ objects }) => objects)?.objects?.bytes ?? 0 }
}

/** What does not hold there. */
export const mountFindings = ({ folder, type, mode, isOwn, hasLinks: links, files }: MountFacts): Finding[] => {
  const of = `${folder} (${type || 'a file system of unknown kind'})`
  const troubles = []
  if ((mode & 0o077) !== 0 || !isOwn) {
    const who =
      (mode & 0o007) !== 0
        ? 'every user of this machine'
        : isOwn
          ? 'a group of users'
          : 'another user, to whom they belong,'
    const hint =
      'mount it for root alone (of FAT, exFAT and NTFS the options uid=0,umask=077; of SMB uid=0,file_mode=0600,dir_mode=0700), or encrypt the sets (BACKUP_RECIPIENTS)'
    troubles.push(
      warning(
        `${of} does not keep files for their owner: ${who} can read the dumps and the uploaded files there`,
        hint,
      ),
    )
  }
  if (!links) {
    const room = files > 0 ? `, ${size(files)}` : ''
    troubles.push(
      warning(
        `${of} has no hard links: each set takes room for all uploaded files anew${room}`,
        'reckon with that for each set that is kept (BACKUP_DAYS, BACKUP_WEEKS, BACKUP_MONTHS); or use a disk with ext4 or xfs',
      ),
    )
  }
  if (['vfat', 'msdos'].includes(type))
    troubles.push(warning(`${of} takes no file of more than 4 GB, so no dump either`, 'use a disk with ext4 or xfs'))
  return unless(`${folder} keeps files for their owner, and has hard links`, troubles)
}
