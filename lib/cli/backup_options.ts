// The words of backup.ts, and which of them go together.
import { usage } from '../system/errors.ts'
import type { Values } from './options.ts'

/** What a set's name begins with, given by a person. */
export const PREFIX = /^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$/

export const BACKUP_OPTIONS = {
  list: { help: 'list the sets, and with WAL=on the moments that can be brought back' },
  fetch: { help: 'bring the newest set, or the one named, from the bucket off the site into BACKUP_DIR' },
  drill: {
    help:
      'restore the newest set, or the one named, into a throw-away server, compare the rows, and start the apps on ' +
      'it; drill.html in BACKUP_DIR tells of it, in French',
  },
  publish: {
    help:
      'put the dump of the newest set, or of the one named, at db/dumps/latest.dump, for the first start of an ' +
      'empty postgres',
  },
  ship: {
    help:
      'with WAL=on: bring what was written to the database since the last time into BACKUP_DIR and off the site; ' +
      'cron does it each minute',
  },
  'dry-run': { help: 'print which hooks would run, and which sets would be kept and removed' },
  'install-cron': { help: 'have cron make a set each day, and try one out each Sunday (as root)' },
  'remove-cron': { help: 'stop cron from making backups (as root)' },
  send: {
    value: 'file',
    hidden: true,
    help: 'print a file of the set that is named, for backup_remote.ts',
    form: [/^[\w.-]+$/, 'the name of a file of a set'] as const,
  },
  from: {
    value: 'byte',
    hidden: true,
    help: 'where --send begins (default 0)',
    form: [/^\d{1,15}$/, 'a number from 0 up'] as const,
  },
  hour: { hidden: true, help: 'for --ship: again and again for an hour: what cron begins' },
  every: {
    value: 'seconds',
    hidden: true,
    help: 'how often --hour ships (default 60)',
    form: [/^[1-9]\d{0,3}$/, 'a number of seconds from 1 to 9999'] as const,
  },
  offsite: { help: 'with --list: the sets in the bucket off the site' },
  'as-of': {
    value: 'time',
    help:
      'with --fetch and --list --offsite: the bucket as it was then ("2026-11-30 06:00", in the time of Paris, or ' +
      '-2h), before somebody removed or overwrote what was in it',
  },
  archive: { help: 'with --fetch: the newest chain of the archive, or the one named, instead of a set' },
  key: {
    value: 'file',
    help: 'for --drill and --publish: the private key to an encrypted set (an age identity file); it is only read',
  },
  at: {
    value: 'HH:MM',
    help: 'when, for --install-cron (default 03:15, the time of the server)',
    form: [/^([01]\d|2[0-3]):[0-5]\d$/, 'a time from 00:00 to 23:59, in two digits each'] as const,
  },
  'no-files': { help: 'save the database alone, not the uploaded files' },
  'no-hooks': { help: "do not run the team's hooks (HOOKS_DIR)" },
  wait: { help: 'queue, for six hours at most, when another backup or restore is running, instead of ending with 75' },
  json: { help: 'print the result as one JSON document on stdout' },
}

export type BackupValues = Values<typeof BACKUP_OPTIONS>

/** What it can do instead of making a set, and whether that is about a set that may be named. */
const ACTIONS = {
  list: false,
  fetch: true,
  drill: true,
  publish: true,
  ship: false,
  'dry-run': false,
  'install-cron': false,
  'remove-cron': false,
  send: true,
} as const

/** For --help. */
export const MODES = { heading: 'Modes (one at a time; without one a set is made):', names: Object.keys(ACTIONS) }

export type Action = keyof typeof ACTIONS | 'make'

/** An option → those of which one must stand beside it. */
const COMPANIONS: [keyof BackupValues, (keyof BackupValues)[]][] = [
  ['offsite', ['list']],
  ['as-of', ['fetch', 'offsite']],
  ['archive', ['fetch']],
  ['key', ['drill', 'publish']],
  ['at', ['install-cron']],
  ['from', ['send']],
  ['hour', ['ship']],
  ['every', ['hour']],
]

const isGiven = (options: BackupValues, name: keyof BackupValues) =>
  options[name] !== undefined && options[name] !== false

/** What is to be done. Throws a Failure (64) when the words do not go together. */
export function actionOf(options: BackupValues, name: string | undefined): Action {
  const [action = 'make', ...others] = (Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]).filter(it =>
    isGiven(options, it),
  )
  if (others.length > 0) throw usage(`${[action, ...others].map(it => `--${it}`).join(' and ')} exclude one another`)
  if (action !== 'make' && !ACTIONS[action] && name !== undefined) throw usage(`--${action} takes no name`)
  for (const [option, companions] of COMPANIONS)
    if (isGiven(options, option) && !companions.some(it => isGiven(options, it)))
      throw usage(`--${option} goes with ${companions.map(it => `--${it}`).join(' and ')}`)
  if (action === 'make' && name !== undefined && (!PREFIX.test(name) || name === 'latest'))
    throw usage(
      `${JSON.stringify(name)} cannot be the name of a set`,
      'up to 41 letters, digits, - and _; "latest" is kept for the newest one',
    )
  return action
}
