// What is to be said of the machine itself. Each check is told what was found, and asks nobody.
import { EXIT } from '../system/errors.ts'
import { bad, type Finding, good, unknown, unless, warning } from './findings.ts'
import { size } from '../system/format.ts'

const GB = 1_000_000_000

/** A disk, and what lies on it. */
export interface Disk {
  folders: string[]
  /** in bytes */
  free: number
  /** the part of its inodes that is free, 0 to 1; undefined where the file system has no such limit */
  inodes: number | undefined
}

/** Below 2 GB an image cannot be built, nor a dump written. */
export function diskFindings(disks: Disk[]): Finding[] {
  return disks.map(({ folders, free, inodes }) => {
    const text = `${size(free)} free for ${folders.join(', ')}`
    const hint = 'docker system df shows what the engine holds, scripts/backup.ts --list the backups'
    if (inodes !== undefined && inodes < 0.02)
      return bad(`${text}, but hardly an inode`, 'many small files: df -i, and du --inodes', { exitCode: EXIT.noSpace })
    if (free < 2 * GB) return bad(`only ${text}`, hint, { exitCode: EXIT.noSpace })
    return free < 10 * GB ? warning(`only ${text}`, hint) : good(text)
  })
}

/** `synchronised` as timedatectl says it; undefined where there is none. */
export function clockFindings(synchronised: boolean | undefined): Finding[] {
  if (synchronised === undefined) return [unknown('there is no timedatectl here that tells whether it is synchronised')]
  if (synchronised) return [good('synchronised')]
  return [
    warning(
      'not synchronised with a time server: certificates, logs and backups go by it',
      'apt install systemd-timesyncd; timedatectl set-ntp true',
    ),
  ]
}

/** `packages` are those that want it; undefined when no reboot is pending. */
export function rebootFindings(packages: string[] | undefined): Finding[] {
  if (!packages) return [good('none is pending')]
  const why = packages.length > 0 ? `, for ${[...new Set(packages)].join(', ')}` : ''
  return [warning(`a reboot is pending${why}`, 'reboot at a quiet hour: the site comes back by itself')]
}

/** `version` is that of Node: "24.21.0". */
export function nodeFindings(version: string): Finding[] {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return []
  return [
    bad(`Node ${version} is too old: 20.19 or later is needed`, 'https://nodejs.org/en/download', {
      exitCode: EXIT.unreachable,
    }),
  ]
}

/** `enabled` is what systemd says of the engine's unit; undefined without systemd. */
export function bootFindings(enabled: string | undefined): Finding[] {
  const hint = 'have it started by what starts this machine: the containers then come back by themselves'
  if (enabled === undefined)
    return [warning('there is no systemd here, so nothing is known to start the engine at boot', hint)]
  // A snap of Docker has a unit of its own.
  if (enabled === '' || enabled === 'not-found')
    return [warning('systemd has no docker.service here, so nothing is known to start the engine at boot', hint)]
  if (enabled === 'enabled') return [good('the engine starts at boot')]
  return [
    bad('the engine does not start at boot', 'as root: systemctl enable docker', {
      mend: 'having the engine start at boot',
    }),
  ]
}

/**
 * The mode of files that hold secrets or personal data: path → mode. A group may read them: that is how somebody else
 * than root runs the scripts.
 */
export function modeFindings(modes: Record<string, number>): Finding[] {
  return unless(
    'no secret and no dump can be read by everybody',
    Object.entries(modes).flatMap(([path, mode]) =>
      (mode & 0o007) === 0
        ? []
        : [
            warning(`${path} can be read by every user of this machine`, `chmod o= ${path}`, {
              about: path,
              mend: `chmod o= ${path}`,
            }),
          ],
    ),
  )
}

/** Sizes of the logs that the scripts write themselves, in bytes. */
export function ownLogFindings(sizes: Record<string, number>): Finding[] {
  return unless(
    'those of the scripts are small',
    Object.entries(sizes)
      .filter(([, bytes]) => bytes > GB / 20)
      .map(([path, bytes]) =>
        warning(`${path} has grown to ${size(bytes)}`, 'look what it is full of; the scripts read all of it'),
      ),
  )
}
