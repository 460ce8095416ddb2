// What follows the nightly set: a base backup, what is not in BACKUP_DIR or off the site yet, a look at all of it,
// and then the rules of retention.
import { rulesOf } from '../backup/retention.ts'
import { isOffsite, openOffsite } from '../backup/offsite/layout.ts'
import { openEncryptor } from '../crypto/age.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { notify } from '../system/notify.ts'
import { say } from '../system/progress.ts'
import { Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { noteArchive, readArchiveState } from './archive_state.ts'
import { type Base, chainsOf } from './bases.ts'
import { checkArchive, mend } from './check_archive.ts'
import { checkHistory, tellAnew } from './history.ts'
import { listBases, makeBase } from './make_base.ts'
import { chainsToRemove, copyBasesOffsite, pruneArchiveOffsite } from './offsite.ts'
import { listArchiveOffsite } from './offsite_listing.ts'
import { findReceiver, readReached } from './receiver.ts'
import { isWanted, removeLocalChains, removeShippedChains } from './retain_chains.ts'
import { hasOtherRecipients, shipBases } from './ship_bases.ts'
import { chainNames } from './shipped.ts'

const DAY = 86_400_000
/** Days after which a full base is due, when that of Sunday was not made. */
const LONGEST = 6.5

/** Whether the next base is to be a full one: on Sundays, and when there was none for a week. */
export function isFullDue(full: Pick<Base, 'startedAt'> | undefined, now: Date) {
  if (!full) return true
  const started = new Date(full.startedAt)
  const isOfToday = now.toDateString() === started.toDateString()
  return (now.getDay() === 0 && !isOfToday) || now.getTime() - started.getTime() > LONGEST * DAY
}

/** Gives what is damaged, and cannot be shipped again. */
const checkAndMend = async (settings: Settings, work: DataWork) => {
  const receiver = await findReceiver(settings)
  const chains = chainsOf(await listBases(receiver))
  const bases = chains.filter(chain => isWanted(chains, chain, settings)).flatMap(chain => chain.bases)
  const encryptor = await openEncryptor(settings)
  await shipBases(settings, receiver, encryptor, bases)
  work.step('archive', 'looking for gaps, and for what is cut')
  const found = await checkArchive(settings)
  for (const { text } of found) say.warn(text)
  const isMended = await mend(settings, receiver, bases, found)
  await shipBases(settings, receiver, encryptor, bases)
  const left = isMended ? await checkArchive(settings) : []
  if (isMended && left.length === 0) say.detail('all of it was still beside the database, and is shipped again')
  if (found.length > 0 && left.length === 0)
    await notify(settings, false, `the archive was damaged, and was mended from beside the database: ${found[0]?.text}`)
  return left
}

/** Damage that nobody was told of before: a night is left to look at it before anything is removed. */
export function isNews(damage: string[], told: string[] = []) {
  return damage.some(it => !told.includes(it))
}

const damageFailure = (damage: string[], mayRemove: boolean) =>
  new Failure(`the archive is not whole: ${damage.join('; ')}`, {
    exitCode: EXIT.data,
    hint:
      `${mayRemove ? 'it was told before, so the rules of retention hold on' : 'nothing was removed'}; what can be ` +
      'brought back: scripts/backup.ts --list. Look at the disk (dmesg), and who else writes there',
  })

const retain = async (settings: Settings) => {
  const receiver = await findReceiver(settings)
  const removed = removeShippedChains(settings)
  const local = await removeLocalChains(settings, receiver, await readReached(receiver))
  for (const name of removed) say.detail(`removed the chain ${name}`)
  for (const name of local) say.detail(`removed the chain ${name} beside the database`)
  return removed
}

const copyOffsite = async (settings: Settings, work: DataWork, mayRemove: boolean) => {
  if (!isOffsite(settings)) return
  work.step('copy', 'the base backups off the site')
  const site = await openOffsite(settings)
  try {
    const { BACKUP_DIR: backups } = settings
    const there = await listArchiveOffsite(site)
    const copied = await copyBasesOffsite(site, backups, there)
    for (const name of copied) say.detail(`${name} is off the site`)
    const removed = mayRemove ? chainsToRemove(there, chainNames(backups), rulesOf(settings), new Date()) : []
    await pruneArchiveOffsite(site, there, removed)
  } finally {
    await site.dispose()
  }
}

const makeAndKeep = async (settings: Settings, work: DataWork) => {
  const receiver = await findReceiver(settings)
  await checkHistory(settings, receiver)
  await tellAnew(settings, receiver)
  const newest = chainsOf(await listBases(receiver)).at(-1)
  const isFull = isFullDue(newest?.full, new Date()) || (newest && hasOtherRecipients(settings, newest.name))
  const base = await makeBase(settings, work, isFull ? 'full' : 'incremental')
  const found = await checkAndMend(settings, work)
  const mayRemove = !isNews(
    found.map(({ text }) => text),
    readArchiveState()?.damage,
  )
  const removed = mayRemove ? await retain(settings) : []
  const damage = found.filter(({ chain }) => !removed.includes(chain)).map(({ text }) => text)
  noteArchive({ damage })
  // What was made today is copied, whatever became of what is old.
  await copyOffsite(settings, work, mayRemove)
  if (damage.length > 0) throw damageFailure(damage, mayRemove)
  return base
}

/**
 * Makes the nightly base backup. Throws a Failure: 65 when the archive is not whole, and in the first night in which it
 * is not nothing is removed; 69 when
 * the service wal, the server or the bucket does not answer, 73 and 74 for BACKUP_DIR and its space.
 */
export async function archiveNightly(settings: Settings): Promise<Base> {
  const scope = new Scope()
  try {
    return await makeAndKeep(settings, scope.use(await takeDataLock('making a base backup', true)))
  } catch (error) {
    await notify(settings, false, `the base backup: ${messageOf(error)}`)
    throw error
  } finally {
    await scope.dispose()
  }
}
