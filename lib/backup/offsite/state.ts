// What is off the site, as far as this server knows without asking: as it was after the last copy.
import type { Settings } from '../../system/settings.ts'
import { messageOf } from '../../system/errors.ts'
import { replaceFile } from '../../system/files.ts'
import { readState, stateFile } from '../../system/state_folder.ts'
import * as v from 'valibot'
import { time } from '../../system/schema.ts'
import { isOffsite } from './layout.ts'

const STATE = v.object({
  /** of the last copy */
  time,
  /** the sets that are there */
  sets: v.array(v.string()),
  /** why the last copy did not end; empty when it did */
  error: v.string(),
})

const FILE = 'offsite.json'

/** undefined when nothing was ever copied, or nobody knows any more: the next copy asks the other side. */
export function readOffsite() {
  return readState(FILE, STATE)
}

/** Notes what is there; without `sets` what was there before. */
export function noteOffsite({ sets, error = '' }: { sets?: string[]; error?: unknown }) {
  const state: v.InferOutput<typeof STATE> = {
    time: new Date().toISOString(),
    sets: sets ?? readOffsite()?.sets ?? [],
    error: error === '' ? '' : messageOf(error).slice(0, 300),
  }
  replaceFile(stateFile(FILE), `${JSON.stringify(state)}\n`, 0o600)
}

/** Whether a set is off the site; undefined when none is copied there. */
export function isCopied(settings: Settings, name: string): boolean | undefined {
  return isOffsite(settings) ? (readOffsite()?.sets.includes(name) ?? false) : undefined
}
