// What is off the site, as far as this server knows without asking: as it was after the last copy.
import type { Settings } from '../../system/settings.ts'
import { messageOf } from '../../system/errors.ts'
import { readState, writeState } from '../../system/state_folder.ts'
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
  /** how the bucket keeps what it has, when that was asked */
  protection: v.exactOptional(v.picklist(['lock', 'versions', 'none'])),
})

type OffsiteState = v.InferOutput<typeof STATE>

const FILE = 'offsite.json'

/** undefined when nothing was ever copied, or nobody knows any more: the next copy asks the other side. */
export function readOffsite() {
  return readState(FILE, STATE)
}

/** Notes what is there; what is not given is as it was before. */
export function noteOffsite({
  error = '',
  ...known
}: Partial<Pick<OffsiteState, 'sets' | 'protection'>> & { error?: unknown }) {
  const state: OffsiteState = {
    sets: [],
    ...readOffsite(),
    ...known,
    time: new Date().toISOString(),
    error: error === '' ? '' : messageOf(error).slice(0, 300),
  }
  writeState(FILE, state, 0o600)
}

/** Whether a set is off the site; undefined when none is copied there. */
export function isCopied(settings: Settings, name: string): boolean | undefined {
  return isOffsite(settings) ? (readOffsite()?.sets.includes(name) ?? false) : undefined
}
