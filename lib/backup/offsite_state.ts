// What is off the site, as far as this server knows without asking: as it was after the last copy.
import type { Settings } from '../config.ts'
import { messageOf } from '../errors.ts'
import { readIfThere, replaceFile, stateFile } from '../files.ts'
import { isOffsite } from './offsite.ts'

export interface OffsiteState {
  /** of the last copy, ISO 8601, UTC */
  time: string
  /** the sets that are there */
  sets: string[]
  /** why the last copy did not end; empty when it did */
  error: string
}

const file = () => stateFile('offsite.json')

/** undefined when nothing was ever copied. */
export const readOffsite = (): OffsiteState | undefined => {
  const text = readIfThere(file())
  return text === undefined ? undefined : (JSON.parse(text) as OffsiteState)
}

/** Notes what is there; without `sets` what was there before. */
export const noteOffsite = ({ sets, error = '' }: { sets?: string[]; error?: unknown }) => {
  const state: OffsiteState = { time: new Date().toISOString(), sets: sets ?? readOffsite()?.sets ?? [], error: error === '' ? '' : messageOf(error).slice(0, 300) }
  replaceFile(file(), `${JSON.stringify(state)}\n`, 0o600)
}

/** Whether a set is off the site; undefined when none is copied there. */
export const isCopied = (settings: Settings, name: string): boolean | undefined => (isOffsite(settings) ? (readOffsite()?.sets.includes(name) ?? false) : undefined)
