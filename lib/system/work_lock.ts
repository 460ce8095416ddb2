// One backup or restore at a time, and for the others who it is and how far.
import { rmSync } from 'node:fs'
import { replaceFile } from './files.ts'
import { readState, stateFile } from './state_folder.ts'
import * as v from 'valibot'
import { time, wholeNumber } from './schema.ts'
import { who } from './identity.ts'
import { takeLock } from './lock.ts'
import type { Disposable } from './scope.ts'
import { say } from './progress.ts'
import { age } from './format.ts'

const WORK = v.object({
  what: v.string(),
  who: v.string(),
  pid: wholeNumber,
  since: time,
  step: v.string(),
})

export type Work = v.InferOutput<typeof WORK>

const FILE = 'data.json'
const file = () => stateFile(FILE)

/** The backup or the restore that is under way, or was killed; undefined when there is none. */
export function readDataWork(tell?: (damage: string) => void) {
  return readState(FILE, WORK, tell)
}

/** Who backs up or restores, since when and how far; undefined when nobody does. */
export function dataWorkUnderWay() {
  const work = readDataWork()
  if (!work) return undefined
  const { what, who, pid, since, step } = work
  return `${who} (process ${pid}), ${what} since ${since} (${age(new Date(since))}), step ${step}`
}

const holder = () => dataWorkUnderWay() ?? 'a backup or a restore that is just beginning or ending'

export interface DataWork extends Disposable {
  /** Shows that a step begins; others can read it too. */
  step: (name: string, what?: string) => void
  /** seconds spent in each step so far */
  seconds: () => Record<string, number>
}

/**
 * Takes the lock that backups and restores share. `what` is what its holder does: "backing up". Throws a Failure with
 * 75 that names the holder.
 */
export async function takeDataLock(what: string, wait: boolean): Promise<DataWork> {
  const lock = await takeLock('data.lock', holder, wait)
  const work: Work = { what, who: who(), pid: process.pid, since: new Date().toISOString(), step: 'begin' }
  const spent: Record<string, number> = {}
  let since = performance.now()
  const close = () => {
    spent[work.step] = Number(((spent[work.step] ?? 0) + (performance.now() - since) / 1000).toFixed(3))
    since = performance.now()
  }
  const step = (name: string, text = '') => {
    close()
    work.step = name
    replaceFile(file(), `${JSON.stringify(work)}\n`)
    say.step(text ? `${name}: ${text}` : name)
  }
  try {
    replaceFile(file(), `${JSON.stringify(work)}\n`)
  } catch (error) {
    await lock.dispose()
    throw error
  }
  return {
    step,
    seconds: () => {
      close()
      return spent
    },
    dispose: async () => {
      try {
        rmSync(file(), { force: true })
      } finally {
        await lock.dispose()
      }
    },
  }
}
