// What the last pass has found, for who looks without asking the server: .state/archive.json.
import * as v from 'valibot'
import { messageOf } from '../system/errors.ts'
import { time } from '../system/schema.ts'
import { readState, writeState } from '../system/state_folder.ts'

const WINDOW = v.object({ from: time, to: time })

const STATE = v.object({
  /** of the last pass */
  time,
  /** up to when all is received beside the database; null when nobody knows */
  received: v.nullable(time),
  /** up to when all is in BACKUP_DIR; null when nothing is */
  shipped: v.nullable(time),
  /** up to when all is off the site; null when nothing is copied there */
  offsite: v.nullable(v.object({ at: v.nullable(time), error: v.string() })),
  /** the moments that can be brought back, oldest first */
  windows: v.array(WINDOW),
  /** the newest base */
  base: v.nullable(v.object({ name: v.string(), kind: v.string(), endedAt: time })),
  /** what the server says of the slot */
  slot: v.nullable(v.string()),
  /** what the last nightly check found that is not whole, in words */
  damage: v.array(v.string()),
  /** why the last pass did not do all; empty when it did */
  error: v.string(),
})

export type ArchiveState = v.InferOutput<typeof STATE>

const FILE = 'archive.json'

/** What is known before the first pass. */
export const NOTHING_YET: Omit<ArchiveState, 'time'> = {
  received: null,
  shipped: null,
  offsite: null,
  windows: [],
  base: null,
  slot: null,
  damage: [],
  error: '',
}

/** undefined when there was no pass yet. */
export function readArchiveState() {
  return readState(FILE, STATE)
}

/** Notes what a pass has found; what is not given stays as it was. */
export function noteArchive(found: Partial<Omit<ArchiveState, 'time'>>) {
  const state: ArchiveState = { ...NOTHING_YET, ...readArchiveState(), ...found, time: new Date().toISOString() }
  writeState(FILE, state, 0o600)
}

/** Notes why the copy off the site did not end; what is there stays. */
export function noteOffsiteError(error: unknown) {
  noteArchive({ offsite: { at: readArchiveState()?.offsite?.at ?? null, error: messageOf(error).slice(0, 300) } })
}
