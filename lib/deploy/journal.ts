// The rollout that is under way: read by whoever waits for the lock, and by the next run when this one was killed.
import { existsSync, rmSync } from 'node:fs'
import { readState, statePath, writeState } from '../system/state_folder.ts'
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

const COUNTED = v.object({
  requests: wholeNumber,
  /** answered with an error of the server, or not in time */
  failed: wholeNumber,
  /** seconds */
  p50: v.number(),
  p99: v.number(),
})

/** What visitors of the app got in the minute before a deploy, and from the new instance's start to the end. */
export const VISITS = v.object({ before: v.nullable(COUNTED), during: v.nullable(COUNTED) })
export type Visits = v.InferOutput<typeof VISITS>

/** A place in the WAL, before a migration. */
export const RESTORE_POINT = v.object({
  name: v.string(),
  lsn: v.string(),
  time,
  /** the first transaction that began after it, or goes on */
  xid: v.string(),
})
export type RestorePoint = v.InferOutput<typeof RESTORE_POINT>

const JOURNAL = v.object({
  ...DEPLOY,
  since: time,
  pid: wholeNumber,
  phase: v.string(),
  /** seconds spent in each phase */
  phases: v.optional(v.record(v.string(), v.number()), {}),
  revision: v.optional(v.nullable(v.string()), null),
  rollback: v.optional(v.boolean(), false),
  restorePoint: v.exactOptional(RESTORE_POINT),
  /** the name that the live database gets when its data go back, too */
  former: v.exactOptional(v.string()),
  visits: v.exactOptional(VISITS),
  /** its visitors were worse off, or somebody who watched did not want it */
  takenBack: v.exactOptional(v.boolean()),
  /** there since something of the new release may have been started */
  next: v.nullable(PIN),
})

export type Journal = v.InferOutput<typeof JOURNAL>

const FORM = v.object({
  ...JOURNAL.entries,
  /** the other apps of the same release (deploy_all.ts --together) */
  others: v.exactOptional(v.array(JOURNAL)),
})

/** What is under way: one app, or several as one release. */
export type ReleaseJournal = v.InferOutput<typeof FORM>

/** One journal for each app. */
export function journalsOf({ others = [], ...first }: ReleaseJournal): Journal[] {
  return [first, ...others]
}

/** The phase, of several apps that of each. */
export function phaseText(release: ReleaseJournal) {
  const journals = journalsOf(release)
  return journals.length === 1
    ? release.phase
    : journals.map(({ phase, repository }) => `${phase} of ${repository}`).join(', ')
}

/** The repositories of several apps or journals, in words. */
export function repositoryNames(list: readonly { repository: string }[]) {
  return list.map(({ repository }) => repository).join(' and ')
}

const FILE = 'rollout.json'

/** Of one app, or of several as one release. */
export function writeJournals([first, ...others]: Journal[]) {
  return writeState(FILE, others.length === 0 ? first : { ...first, others })
}

export function readJournal(tell?: (damage: string) => void) {
  return readState(FILE, FORM, tell)
}

/** Also when nobody can read it. */
export function hasJournal() {
  return existsSync(statePath(FILE))
}

export function removeJournal() {
  return rmSync(statePath(FILE), { force: true })
}
