// Whether each night makes a backup: the entry of cron, cron itself, the place for the sets, and what came of it so
// far.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type BackupState, readBackups } from '../status/backup_status.ts'
import type { Settings } from '../system/settings.ts'
import { clockOf, cronFile, cronText, installCron } from './cron.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { readIfThere } from '../system/files.ts'
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
  /** cron runs */
  cron: boolean
  state: Pick<BackupState, 'last' | 'trouble'>
}

const timeOf = (entry: string | undefined) =>
  clockOf(/^(\d{1,2}) (\d{1,2}) \* \* (?:\*|1-6) root /m.exec(entry ?? '')) ?? DEFAULT_TIME

/** What is to be said of the backups. */
export function backupFindings({ site, folder, parent, entry, expected, cron, state }: BackupFacts): Finding[] {
  const time = timeOf(entry)
  if (!parent && site === 'localhost')
    return [unknown(`${dirname(folder)} is not there; a site on localhost has nothing that must be saved`)]
  const mount = `mount a disk there, or mkdir -p ${dirname(folder)}; it is never made, so that a missing disk is noticed`
  if (!parent)
    return [bad(`there is no ${dirname(folder)} for the backups (BACKUP_DIR)`, mount, { exitCode: EXIT.cannotWrite })]
  const trouble =
    entry === undefined
      ? 'nothing makes a backup each night'
      : "cron's entry for the backup is of another checkout or version"
  const install = { about: time, mend: `having cron make one each night at ${time}` }
  if (entry !== expected(time)) return [bad(trouble, 'as root: tsx scripts/backup.ts --install-cron', install)]
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

const cronRuns = () => runs(['cron', 'crond'])

const startCron = async () => {
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
    cron: cronRuns(),
    state: readBackups(settings),
  }
}

/** Installs the entry, at the time that it had, and has cron run. Throws a Failure (73) for who is not root. */
export async function makeNightly({ COMPOSE_PROJECT_NAME: project }: Settings, { about }: Finding) {
  installCron(project, about ?? DEFAULT_TIME)
  await startCron()
}
