// The rollout that is under way: read by whoever waits for the lock, and by the next run when this one was killed.
import { existsSync, rmSync } from 'node:fs'
import { replaceFile } from '../system/files.ts'
import { readState, stateFile, statePath } from '../system/state_folder.ts'
import * as v from 'valibot'
import { time, wholeNumber } from '../system/schema.ts'

/** The fields that a line of the history has too. */
export const DEPLOY = {
  who: v.string(),
  repository: v.string(),
  service: v.string(),
  /** the image that was live, if any */
  from: v.nullable(v.string()),
  to: v.nullable(v.string()),
}

const PIN = v.object({ image: v.string(), rollout: v.string(), network: v.string(), fingerprint: v.string() })

const JOURNAL = v.object({
  ...DEPLOY,
  since: time,
  pid: wholeNumber,
  phase: v.string(),
  /** seconds spent in each phase */
  phases: v.optional(v.record(v.string(), v.number()), {}),
  revision: v.optional(v.nullable(v.string()), null),
  rollback: v.optional(v.boolean(), false),
  /** there since something of the new release may have been started */
  next: v.nullable(PIN),
})

export type Journal = v.InferOutput<typeof JOURNAL>

const FILE = 'rollout.json'

export function writeJournal(journal: Journal) {
  return replaceFile(stateFile(FILE), `${JSON.stringify(journal)}\n`)
}

export function readJournal(tell?: (damage: string) => void) {
  return readState(FILE, JOURNAL, tell)
}

/** Also when nobody can read it. */
export function hasJournal() {
  return existsSync(statePath(FILE))
}

export function removeJournal() {
  return rmSync(statePath(FILE), { force: true })
}
