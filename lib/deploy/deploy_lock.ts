// One deploy at a time.
import { age } from '../system/format.ts'
import { takeLock } from '../system/lock.ts'
import { dataWorkUnderWay } from '../system/work_lock.ts'
import { journalsOf, phaseText, readJournal, repositoryNames } from './journal.ts'

export function holder() {
  const journal = readJournal()
  // A restore takes this lock too.
  if (!journal) return dataWorkUnderWay() ?? 'another deploy, which is just beginning or ending'
  return (
    `${journal.who} (process ${journal.pid}), who is deploying ${repositoryNames(journalsOf(journal))} since ` +
    `${journal.since} (${age(new Date(journal.since))}), phase ${phaseText(journal)}`
  )
}

/** One deploy at a time, until it is disposed of. Throws a Failure with 75 that names the holder. */
export function takeDeployLock(wait: boolean) {
  return takeLock('lock', holder, wait)
}
