// The steps that are about the machine: what is installed, its disks, its clock, who may read what.
// Long, since it is the list of them.
import { chmodSync, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import {
  bootFindings,
  clockFindings,
  type Disk,
  diskFindings,
  modeFindings,
  nodeFindings,
  ownLogFindings,
  rebootFindings,
} from './check_server.ts'
import { docker } from '../docker/commands.ts'
import { root } from '../system/checkout.ts'
import type { Settings } from '../system/settings.ts'
import { checkCompose, checkEngine, engineFolder } from '../docker/engine.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { statePath } from '../system/state_folder.ts'
import { bad, type Finding, findingOf, good, unknown, warning } from './findings.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { attempt, isInstalled, show } from '../system/run.ts'
import type { Step } from './setup.ts'
import { listSets, newestWithFiles } from '../backup/sets.ts'
import { hasSystemd } from '../system/systemd.ts'
import { keepsModes, readMount } from '../system/mount.ts'
import { mountFindings } from './check_mount.ts'

const INSTALL = "installing what is missing, from the distribution's packages, and starting the engine"

const programFindings = async (): Promise<Finding[]> => {
  const wanted = { mend: INSTALL, exitCode: EXIT.unreachable }
  const checked = await Promise.allSettled([checkEngine(), checkCompose()])
  const missing = nodeFindings(process.versions.node)
  missing.push(...checked.flatMap(it => (it.status === 'rejected' ? [{ ...findingOf(it.reason), ...wanted }] : [])))
  const builds = (await attempt(docker('buildx', 'version'))).code === 0
  if (!builds && missing.length === 0)
    missing.push(bad('buildx, which builds the images, is not installed', 'apt install docker-buildx', wanted))
  if (!isInstalled('git')) missing.push(bad('git is not installed', 'apt install git', wanted))
  const cron = isInstalled('cron') || isInstalled('crond')
  if (!cron)
    missing.push(warning('cron is not installed, so nothing makes backups', 'apt install cron', { mend: INSTALL }))
  if (missing.length > 0) return missing
  const [engine, compose] = checked.map(it => (it.status === 'fulfilled' ? it.value : ''))
  return [good(`Docker ${engine}, Compose ${compose}, Node ${process.versions.node}, git, cron`)]
}

const installPrograms = async () => {
  try {
    await show(['bash', join(root, 'lib', 'docker', 'engine.sh'), 'git', 'cron'])
  } catch (error) {
    const [, message] = /^\s*error: (.*)$/m.exec(messageOf(error)) ?? []
    const [, hint] = /^\s*hint: (.*)$/m.exec(messageOf(error)) ?? []
    if (message === undefined) throw error
    throw new Failure(message, { hint, exitCode: EXIT.unreachable, cause: error })
  }
}

/** What the step "settings" has found. */
export interface KnownSettings {
  settings?: Settings
}

/** For a step that needs the step "settings". */
export function settingsOf({ settings }: KnownSettings): Settings {
  if (!settings) throw new Error('the step "settings" comes first')
  return settings
}

const readDisks = async (settings: Settings | undefined): Promise<Disk[]> => {
  const engine = await engineFolder()
  const backups = settings ? [settings.BACKUP_DIR, dirname(settings.BACKUP_DIR)] : []
  const folders = [root, engine, ...backups].filter(folder => isAbsolute(folder) && existsSync(folder))
  const devices = new Set(folders.map(folder => statSync(folder).dev))
  return [...devices].map(device => {
    const on = [...new Set(folders)].filter(folder => statSync(folder).dev === device)
    const { bavail, bsize, files, ffree } = statfsSync(on[0] ?? root)
    return { folders: on, free: bavail * bsize, inodes: files > 0 ? ffree / files : undefined }
  })
}

const isSynchronised = async () => {
  if (!hasSystemd()) return undefined
  const { code, stdout } = await attempt(['timedatectl', 'show', '--property=NTPSynchronized', '--value'])
  return code === 0 ? stdout.trim() === 'yes' : undefined
}

const pendingReboot = () => {
  const file = '/var/run/reboot-required'
  if (!existsSync(file)) return undefined
  return existsSync(`${file}.pkgs`) ? readFileSync(`${file}.pkgs`, 'utf8').split('\n').filter(Boolean) : []
}

const engineAtBoot = async () =>
  hasSystemd() ? (await attempt(['systemctl', 'is-enabled', 'docker'])).stdout.trim() : undefined

const enableEngine = async () => {
  const { code, stderr } = await attempt(['systemctl', 'enable', 'docker'])
  if (code !== 0)
    throw new Failure(`systemctl enable docker: ${stderr.trim()}`, {
      exitCode: EXIT.cannotWrite,
      hint: 'run it as root (sudo)',
    })
}

const filesIn = (folder: string, form: RegExp) =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter(name => form.test(name))
        .map(name => join(folder, name))
    : []

const isOpen = (path: string) => (statSync(path).mode & 0o007) !== 0

/** The modes of what nobody else may read, less what lies in a folder that nobody else can enter. */
const readModes = (settings: Settings | undefined) => {
  const backups = settings?.BACKUP_DIR
  const dumpsIn = (folders: string[]) => folders.flatMap(folder => filesIn(folder, /\.(dump|sql)$/))
  const isReachable = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() && isOpen(dirname(path))
  const sets = backups === undefined ? [] : listSets(backups).sets
  const inSets = dumpsIn(sets.map(({ folder }) => folder)).filter(isReachable)
  // Where the file system keeps no modes, chmod is no help: the step "mount" says what is.
  const kept = backups !== undefined && inSets.some(isOpen) && !keepsModes(backups) ? [] : inSets
  const paths = [...[...filesIn(root, /^\.env(?!\.example$)/), ...dumpsIn([DUMPS])].filter(isReachable), ...kept]
  return Object.fromEntries(paths.map(path => [path, statSync(path).mode]))
}

const lookAtMount = async ({ BACKUP_DIR: folder }: Settings) => {
  const there = [folder, dirname(folder)].find(it => isAbsolute(it) && existsSync(it))
  if (there === undefined) return [unknown('there is no folder for the backups')]
  const files = newestWithFiles(listSets(there).sets)?.objects?.bytes ?? 0
  return mountFindings(await readMount(there), files)
}

const readOwnLogs = () => {
  const files = [...filesIn(statePath(''), /\.(jsonl|log)$/), '/var/log/dockerd.log'].filter(file => existsSync(file))
  return Object.fromEntries(files.map(file => [file, statSync(file).size]))
}

/** What can be looked at before there are settings, and what the settings only add to. */
export function serverSteps(
  known: KnownSettings,
): Record<'programs' | 'boot' | 'disk' | 'clock' | 'reboot' | 'mount' | 'secrecy' | 'logs', Step> {
  return {
    programs: { name: 'programs', needs: [], look: programFindings, mend: installPrograms },
    boot: {
      name: 'boot',
      needs: ['programs'],
      look: async () => bootFindings(await engineAtBoot()),
      mend: enableEngine,
    },
    disk: { name: 'disk', needs: [], look: async () => diskFindings(await readDisks(known.settings)) },
    clock: { name: 'clock', needs: [], look: async () => clockFindings(await isSynchronised()) },
    reboot: { name: 'reboot', needs: [], look: () => rebootFindings(pendingReboot()) },
    mount: { name: 'mount', needs: ['settings'], look: () => lookAtMount(settingsOf(known)) },
    secrecy: {
      name: 'secrecy',
      needs: [],
      look: () => modeFindings(readModes(known.settings)),
      mend: async ({ about = '' }) => chmodSync(about, statSync(about).mode & 0o770),
    },
    logs: { name: 'logs', needs: [], look: () => ownLogFindings(readOwnLogs()) },
  }
}
