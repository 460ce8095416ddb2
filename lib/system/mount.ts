// What the file system of a folder lacks: FAT, exFAT, FUSE and SMB have no hard links, or keep no modes.
import { EXIT, Failure, messageOf } from './errors.ts'
import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { attempt } from './run.ts'

export interface MountFacts {
  folder: string
  /** of the file system: "exfat" */
  type: string
  /** what becomes there of a file that is made for its owner alone */
  mode: number
  isOwn: boolean
  hasLinks: boolean
}

const TRIAL = '.avril-trial-'

const canLink = (file: string) => {
  try {
    linkSync(file, `${file}.link`)
    return true
  } catch {
    return false
  }
}

/**
 * What becomes of a file that is made there, and removed again. Throws a Failure (73) when the folder cannot be written
 * to.
 */
const tryFile = (folder: string): Pick<MountFacts, 'mode' | 'isOwn' | 'hasLinks'> => {
  let trial
  try {
    trial = mkdtempSync(join(folder, TRIAL))
    const file = join(trial, 'file')
    writeFileSync(file, '', { mode: 0o600 })
    const { mode, uid } = statSync(file)
    return { mode: mode & 0o777, isOwn: uid === process.getuid?.(), hasLinks: canLink(file) }
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

/** Whether what is made there for its owner alone stays so. */
export function keepsModes(folder: string) {
  return tryFile(folder).mode === 0o600
}

/** Whether a file can have two names there. */
export function hasLinks(folder: string) {
  return tryFile(folder).hasLinks
}

/**
 * Finds it out by a file that is made there and removed again. Throws a Failure (73) when the folder cannot be written
 * to.
 */
export async function readMount(folder: string): Promise<MountFacts> {
  const command = ['findmnt', '--noheadings', '--first-only', '--output=FSTYPE', '--target', folder]
  const { stdout } = await attempt(command)
  return { folder, type: stdout.trim(), ...tryFile(folder) }
}
