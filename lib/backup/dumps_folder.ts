// db/dumps, which the server's container sees as /pg-dump: the published dumps lie there, and what is only passing through, in folders of its own.
import { mkdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from '../config.ts'
import { namesInFolder } from '../files.ts'

export const DUMPS = join(root, 'db', 'dumps')

const KINDS = ['restoring', 'backing-up', 'dumping', 'reading'] as const

const FORM = new RegExp(String.raw`^\.(${KINDS.join('|')})-\d{8}t\d{6}z$`)

/** A folder of its own in db/dumps, for its owner alone. */
export const clearFolder = (what: (typeof KINDS)[number], stamp: string) => {
  const folder = join(DUMPS, `.${what}-${stamp.toLowerCase()}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

/** Where the server sees such a folder. */
export const seenInside = (folder: string) => `/pg-dump/${basename(folder)}`

export const removeFolder = (folder: string) => rmSync(folder, { recursive: true, force: true })

/** Removes what a run that was killed left there, and gives the names. Only under the lock. */
export const sweepFolders = () => {
  const left = namesInFolder(DUMPS).filter(name => FORM.test(name))
  for (const name of left) removeFolder(join(DUMPS, name))
  return left
}
