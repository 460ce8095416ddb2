// Whether each night makes a backup: the entry of cron, cron itself, the place for the sets, and what came of it so
// far.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type BackupStatus, readBackups } from '../status/backup_status.ts'
import type { Settings } from '../system/settings.ts'
import { isArchived } from '../archive/receiver.ts'
import { clockOf, cronFile, cronText, installCron, removeCron, shipCronText } from './cron.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { readIfThere } from '../system/files.ts'
import { isOffsite, openOffsite } from '../backup/offsite/layout.ts'
import type { Protection } from '../backup/offsite/protection.ts'
import { outlivesRemoval } from '../backup/offsite/removal.ts'
import { bad, type Finding, good, unknown, warning } from './findings.ts'
import { attempt } from '../system/run.ts'
import { hasSystemd } from '../system/systemd.ts'

const DEFAULT_TIME = '03:15'

export interface BackupFacts {
  site: string
  /** BACKUP_DIR */
  folder: string
  /** the folder that BACKUP_DIR lies in is there */
  parent: boolean
  /** the text of cron's entry; undefined when there is none */
  entry: string | undefined
  /** what that text should be; `time` is "HH:MM" */
  expected: (time: string) => string
  /** the entry that ships the archive each minute is as it should be; so is none where nothing is archived */
  ships: boolean
  /** cron runs */
  cron: boolean
  state: Pick<BackupStatus, 'last' | 'trouble'>
}

const timeOf = (entry: string | undefined) =>
  clockOf(/^(\d{1,2}) (\d{1,2}) \* \* (?:\*|1-6) root /m.exec(entry ?? '')) ?? DEFAULT_TIME

/** What is to be said of the backups. */
export function backupFindings({ site, folder, parent, entry, expected, ships, cron, state }: BackupFacts): Finding[] {
  const time = timeOf(entry)
  if (!parent && site === 'localhost')
    return [unknown(`${dirname(folder)} is not there; a site on localhost has nothing that must be saved`)]
  const mount = [
    `mount a disk there, or mkdir -p ${dirname(folder)}`,
    'it is never made, so that a missing disk is noticed',
  ].join('; ')
  if (!parent)
    return [bad(`there is no ${dirname(folder)} for the backups (BACKUP_DIR)`, mount, { exitCode: EXIT.cannotWrite })]
  const trouble =
    entry === undefined
      ? 'nothing makes a backup each night'
      : "cron's entry for the backup is of another checkout or version"
  const install = { about: time, mend: `having cron make one each night at ${time}` }
  if (entry !== expected(time)) return [bad(trouble, 'as root: tsx scripts/backup.ts --install-cron', install)]
  if (!ships)
    return [
      bad(
        'cron does not ship the archive each minute, or does although WAL is not on',
        'as root: tsx scripts/backup.ts --install-cron',
        {
          about: time,
          mend: 'having cron ship it each minute',
        },
      ),
    ]
  if (!cron)
    return [bad('cron does not run', 'as root: systemctl enable --now cron', { about: time, mend: 'starting cron' })]
  const nightly = good(`each night at ${time}, into ${folder}`)
  return [
    nightly,
    ...(state.trouble ? [warning(state.trouble, 'tsx scripts/backup.ts makes one now, and says what is wrong')] : []),
  ]
}

const runs = (names: string[]) =>
  readdirSync('/proc').some(pid => {
    try {
      return /^\d+$/.test(pid) && names.includes(readFileSync(`/proc/${pid}/comm`, 'utf8').trim())
    } catch {
      // it has ended
      return false
    }
  })

/** Whether cron runs. */
export function cronRuns() {
  return runs(['cron', 'crond'])
}

/** Has cron run, now and after each boot. Throws a Failure (73) for who is not root. */
export async function startCron() {
  if (cronRuns()) return
  const command = hasSystemd() ? ['systemctl', 'enable', '--now', 'cron'] : ['cron']
  const { code, stderr } = await attempt(command)
  if (code !== 0)
    throw new Failure(`cron does not start: ${stderr.trim()}`, {
      exitCode: EXIT.cannotWrite,
      hint: 'run it as root (sudo)',
    })
}

export function readBackupFacts(settings: Settings): BackupFacts {
  const { COMPOSE_PROJECT_NAME: project, BACKUP_DIR: folder, WHOST: site } = settings
  return {
    site,
    folder,
    parent: existsSync(dirname(folder)),
    entry: readIfThere(cronFile(project)),
    expected: cronText,
    ships: readIfThere(cronFile(project, 'ship')) === (isArchived(settings) ? shipCronText() : undefined),
    cron: cronRuns(),
    state: readBackups(settings),
  }
}

/**
 * What becomes of the copies off the site when somebody has this server: tried out with a small object, and its key.
 */
export async function offsiteFindings(settings: Settings): Promise<Finding[]> {
  if (!isOffsite(settings)) return []
  const site = await openOffsite(settings)
  try {
    const protection = await site.protection()
    return [protectionFinding(protection, await outlivesRemoval(site))]
  } finally {
    await site.dispose()
  }
}

/** Whether copies off the site last, by how the bucket says that it keeps them, and by what came of a try. */
export function protectionFinding(protection: Protection, outlives: boolean): Finding {
  if (protection === 'lock' && outlives)
    return good('copies off the site are locked: this server was not able to remove one that it had just written')
  const lock = 'make a bucket with object lock (it can only be chosen when a bucket is made): docs/backups.md'
  if (protection === 'lock')
    return bad('the bucket off the site has object lock, and this server was able to remove what it had locked', lock)
  if (outlives) return good('what is removed off the site stays there as a version, which this server may not remove')
  if (protection === 'versions')
    return warning(
      'the bucket off the site keeps versions, but the key of this server may remove them too',
      `take the right to remove versions (s3:DeleteObjectVersion) from OFFSITE_ACCESS_KEY_ID; or ${lock}`,
    )
  return warning('whoever has this server can remove the copies off the site', lock)
}

/**
 * Changes the entries of the backup, and of the archive where there is one: to a time ("HH:MM"), or to none. Gives
 * whether that changed anything. Throws a Failure (73) for who is not root.
 */
export function changeBackupCron(settings: Settings, at: string | undefined) {
  const { COMPOSE_PROJECT_NAME: project } = settings
  const backup = at === undefined ? removeCron(project) : installCron(project, cronText(at))
  const isShipped = at !== undefined && isArchived(settings)
  const ship = isShipped ? installCron(project, shipCronText(), 'ship') : removeCron(project, 'ship')
  return backup || ship
}

/** Installs the entries, at the time that they had, and has cron run. Throws a Failure (73) for who is not root. */
export async function makeNightly(settings: Settings, { about }: Finding) {
  changeBackupCron(settings, about ?? DEFAULT_TIME)
  await startCron()
}
