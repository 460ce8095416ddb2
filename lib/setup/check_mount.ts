// What does not hold on the file system of the sets: they are made there all the same.
import type { MountFacts } from '../system/mount.ts'
import { size } from '../system/format.ts'
import { type Finding, unless, warning } from './findings.ts'

/** `files` are the uploaded files of the newest set, in bytes. */
export function mountFindings({ folder, type, mode, isOwn, hasLinks: links }: MountFacts, files: number): Finding[] {
  const of = `${folder} (${type || 'a file system of unknown kind'})`
  const troubles = []
  if ((mode & 0o077) !== 0 || !isOwn) {
    const some = isOwn ? 'a group of users' : 'another user, to whom they belong,'
    const who = (mode & 0o007) !== 0 ? 'every user of this machine' : some
    const hint =
      'mount it for root alone (of FAT, exFAT and NTFS the options uid=0,umask=077; of SMB ' +
      'uid=0,file_mode=0600,dir_mode=0700), or encrypt the sets (BACKUP_RECIPIENTS)'
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
        'reckon with that for each set that is kept (BACKUP_DAYS, BACKUP_WEEKS, BACKUP_MONTHS); or use a disk ' +
          'with ext4 or xfs',
      ),
    )
  }
  if (['vfat', 'msdos'].includes(type))
    troubles.push(warning(`${of} takes no file of more than 4 GB, so no dump either`, 'use a disk with ext4 or xfs'))
  return unless(`${folder} keeps files for their owner, and has hard links`, troubles)
}
