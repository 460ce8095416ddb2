// The cron entry of the nightly backup: cron has almost no environment, so the entry brings all that a run needs.
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, relative } from 'node:path'
import { root } from '../system/checkout.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { readIfThere, replaceFile } from '../system/files.ts'
import { stateFile } from '../system/state_folder.ts'
import { loaderFor } from '../system/runtime.ts'
import { quoteWord } from '../system/shell.ts'

// cron reads only names of letters, digits, _ and -.
export function cronFile(project: string) {
  return `/etc/cron.d/${project}-backup`
}

/** "HH:MM" of a line's minute and hour, which are the first two groups; undefined when there was no match. */
export function clockOf(match: RegExpExecArray | null) {
  const [, minute, hour] = match ?? []
  return minute === undefined || hour === undefined ? undefined : `${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`
}

// cron itself turns % into a line end, even within quotes.
const quote = (word: string) => quoteWord(word).replaceAll('%', String.raw`\%`)

/** The text of the entry. `at` is "HH:MM" in the server's time. */
export function cronText(at: string) {
  const [hour, minute] = at.split(':').map(Number)
  const tsx = createRequire(import.meta.url).resolve('tsx')
  const node = [process.execPath, ...loaderFor(process.version, tsx)].map(quote).join(' ')
  // Some crons take no command of more than 1000 characters, so each path stands there once.
  const begin = `cd ${quote(root)} || exit; run() { ${node} scripts/backup.ts --wait "$@"; }`
  const run = (file: string, ...words: string[]) => {
    const log = relative(root, stateFile(file))
    return `${['run', ...words].join(' ')} >${log} 2>&1 || { cat ${log}; failed=1; }`
  }
  const [backup, drill] = [run('backup.log'), run('drill.log', '--drill')]
  return [
    '# Made by scripts/backup.ts --install-cron, removed by --remove-cron. The output of the last runs is in .state/backup.log and drill.log; cron mails it when a run fails.',
    `PATH=${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    'LANG=C.UTF-8',
    `${minute} ${hour} * * 1-6 root ${begin}; ${backup}; exit $failed`,
    '# On Sundays the newest set is tried out: after the backup, since a drill that starts beside it may come first.',
    `${minute} ${hour} * * 0 root ${begin}; ${backup}; ${drill}; exit $failed`,
    '',
  ].join('\n')
}

const asRoot = (file: string, error: unknown) =>
  new Failure(`${file} cannot be written: ${messageOf(error)}`, {
    exitCode: EXIT.cannotWrite,
    hint: 'run it as root (sudo); is cron installed (apt install cron)?',
  })

/** Writes the entry; gives whether that changed anything. Throws a Failure (73) for who is not root. */
export function installCron(project: string, at: string) {
  const file = cronFile(project)
  if (readIfThere(file) === cronText(at)) return false
  try {
    replaceFile(file, cronText(at))
  } catch (error) {
    throw asRoot(file, error)
  }
  return true
}

export function removeCron(project: string) {
  const file = cronFile(project)
  if (readIfThere(file) === undefined) return false
  try {
    rmSync(file)
  } catch (error) {
    throw asRoot(file, error)
  }
  return true
}
