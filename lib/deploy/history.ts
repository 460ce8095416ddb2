// Every deploy, good or bad, is one line of JSON in an append-only file.
import { messageOf } from '../system/errors.ts'
import { appendLine, readLines, stateFile } from '../system/state_folder.ts'
import * as v from 'valibot'
import { time } from '../system/schema.ts'
import { DEPLOY, type Journal, RESTORE_POINT, VISITS } from './journal.ts'
import { say } from '../system/progress.ts'

const ENTRY = v.object({
  ...DEPLOY,
  /** when it began */
  since: v.exactOptional(time),
  /** when it ended */
  time,
  result: v.picklist(['deployed', 'failed', 'interrupted']),
  /** the phase in which it failed */
  phase: v.exactOptional(v.string()),
  error: v.exactOptional(v.string()),
  /** seconds spent in each phase */
  phases: v.exactOptional(v.record(v.string(), v.number())),
  revision: v.exactOptional(v.nullable(v.string())),
  rollback: v.exactOptional(v.boolean()),
  restorePoint: v.exactOptional(RESTORE_POINT),
  former: v.exactOptional(v.string()),
  visits: v.exactOptional(VISITS),
  takenBack: v.exactOptional(v.boolean()),
})

export type Entry = v.InferOutput<typeof ENTRY>

const FILE = 'history.jsonl'

const firstLines = (text: string) =>
  text
    .split('\n')
    .slice(0, 2)
    .map(line => line.trim())
    .join(': ')
    .slice(0, 300)

/** The line that a deploy leaves. */
export function entryOf(
  { next: _, pid: _pid, phase, ...journal }: Journal,
  result: Entry['result'],
  error = '',
): Entry {
  return {
    time: new Date().toISOString(),
    ...journal,
    result,
    ...(result === 'deployed' ? {} : { phase, error: firstLines(error) }),
  }
}

/** Appends a line. A full disk must not undo a deploy, so that is a warning. */
export function record(journal: Journal, result: Entry['result'], error?: string) {
  try {
    appendLine(FILE, entryOf(journal, result, error))
  } catch (problem) {
    say.warn(`this deploy could not be noted in ${stateFile(FILE)}: ${messageOf(problem)}`)
  }
}

/** All entries, oldest first. */
export function readHistory() {
  return readLines(FILE, ENTRY)
}

/**
 * The images of a service that were live, one after another; a rollback takes back what came after the one it went to.
 */
export function trail(history: Entry[], service: string) {
  const images: string[] = []
  for (const { to, from, rollback } of history.filter(
    entry => entry.service === service && entry.result === 'deployed',
  )) {
    if (to === null) continue
    if (images.length === 0 && from !== null) images.push(from)
    if (rollback && images.includes(to)) images.length = images.lastIndexOf(to) + 1
    else if (images.at(-1) !== to) images.push(to)
  }
  return images
}
