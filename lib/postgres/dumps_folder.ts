// db/dumps, which the server's container can read as /pg-dump: the published dumps lie there, and what is only passing
// through, in folders of its own.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { namesInFolder } from '../system/files.ts'
import { say } from '../system/progress.ts'
import type { Disposable } from '../system/scope.ts'

export const DUMPS = join(root, 'db', 'dumps')

const KINDS = ['restoring', 'backing-up', 'dumping', 'reading'] as const
type Kind = (typeof KINDS)[number]

// Of a time, they are of former scripts.
const FORM = new RegExp(String.raw`^\.((${KINDS.join('|')})-(\d{8}t\d{6}z|\w{6})|.+\.partial)$`)

const removeFolder = (folder: string) => rmSync(folder, { recursive: true, force: true })

/** A folder that is removed with all that is in it when it is disposed of. */
export interface Folder extends Disposable {
  path: string
}

/** A folder of its own in db/dumps, for its owner alone. */
export function openDumpFolder(what: Kind): Folder {
  mkdirSync(DUMPS, { recursive: true, mode: 0o700 })
  const path = mkdtempSync(join(DUMPS, `.${what}-`))
  return { path, dispose: () => removeFolder(path) }
}

/** Removes what was left there by one that was killed, and says so. Only under the lock. */
export function sweepFolders(by: 'run' | 'restore') {
  for (const name of namesInFolder(DUMPS).filter(it => FORM.test(it))) {
    removeFolder(join(DUMPS, name))
    say.detail(`removed ${name}, which an interrupted ${by} left`)
  }
}
