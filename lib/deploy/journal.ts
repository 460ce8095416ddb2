// The rollout that is under way: read by whoever waits for the lock, and by the next run when this one was killed.
import { existsSync, rmSync } from 'node:fs'
import { replaceFile } from '../system/files.ts'
import { readState, stateFile, statePath } from '../system/state_folder.ts'
import { isRecord, isText, isTextOrNull, isTime } from '../system/shapes.ts'
import type { Pin } from '../docker/release_pins.ts'

export interface Journal {
  who: string
  /** ISO 8601, UTC */
  since: string
  pid: number
  repository: string
  service: string
  phase: string
  /** seconds spent in each phase */
  phases: Record<string, number>
  /** the image that was live, if any */
  from: string | null
  to: string | null
  revision: string | null
  rollback: boolean
  /** there since something of the new release may have been started */
  next: Pin | null
}

const FILE = 'rollout.json'

export const writeJournal = (journal: Journal) => replaceFile(stateFile(FILE), `${JSON.stringify(journal)}\n`)

const isPin = (it: unknown): it is Pin =>
  isRecord(it) && [it.image, it.rollout, it.network, it.fingerprint].every(isText)

const isJournal = (it: unknown): it is Journal =>
  isRecord(it) &&
  [it.who, it.repository, it.service, it.phase].every(isText) &&
  isTime(it.since) &&
  Number.isSafeInteger(it.pid) &&
  isRecord(it.phases) &&
  [it.from, it.to, it.revision].every(isTextOrNull) &&
  (it.next === null || isPin(it.next))

export const readJournal = (tell?: (damage: string) => void) => readState(FILE, isJournal, tell)

/** Also when nobody can read it. */
export const hasJournal = () => existsSync(statePath(FILE))

export const removeJournal = () => rmSync(statePath(FILE), { force: true })
