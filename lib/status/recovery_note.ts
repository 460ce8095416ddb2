// What a recovery notes before it touches the volume of the database: by it the next run knows that what lies there is
// its own, and goes on.
import * as v from 'valibot'
import { rmSync } from 'node:fs'
import { time } from '../system/schema.ts'
import { readState, statePath, writeState } from '../system/state_folder.ts'

const NOTE = v.object({
  /** by which the database comes back: the name of a chain of the archive, or of a set */
  kind: v.picklist(['archive', 'set']),
  name: v.string(),
  /** all that was committed before comes back */
  at: time,
  /** when the last transaction was committed that came back; null while nobody knows */
  kept: v.nullable(time),
  /** the set that the uploaded files are of; null without one */
  files: v.nullable(v.string()),
  /** what does not come back, in words */
  lost: v.array(v.string()),
  /** there are uploaded files, and each set that has them is damaged */
  incomplete: v.boolean(),
})

export type RecoveryNote = v.InferOutput<typeof NOTE>

const FILE = 'recovery.json'

/** undefined when no recovery was begun here, or it has ended. */
export function readRecovery() {
  return readState(FILE, NOTE)
}

export function noteRecovery(note: RecoveryNote) {
  writeState(FILE, note, 0o600)
}

/** The recovery has ended: what is here is a site as any other. */
export function forgetRecovery() {
  rmSync(statePath(FILE), { force: true })
}

/**
 * What status.ts says of a recovery that has begun and not ended: what is wrong, and what to do; undefined without one.
 */
export function unfinishedRecovery() {
  const note = readRecovery()
  if (!note) return undefined
  const from = note.kind === 'archive' ? 'the archive' : 'a backup set'
  const trouble =
    `the recovery of this server from ${from} (${note.name}) has begun and not ended: tsx scripts/setup.ts ` +
    '--recover goes on where it was'
  return { from: note.name, trouble }
}
