// The cron entries, of the nightly backup, the archive, the certificate and the watch: cron has almost no environment,
// so each brings all that a run needs.
// Long, since each is a text of its own, and why it is so.
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, relative } from 'node:path'
import { root } from '../system/checkout.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { readIfThere, replaceFile } from '../system/files.ts'
import { stateFile } from '../system/state_folder.ts'
import { ownLoader } from '../system/runtime.ts'
import { quoteWord } from '../system/shell.ts'

/** What cron does for a stack. */
export type Job = 'backup' | 'certificate' | 'node' | 'ship' | 'watch'

// cron reads only names of letters, digits, _ and -.
export function cronFile(project: string, job: Job = 'backup') {
  return `/etc/cron.d/${project}-${job}`
}

/** "HH:MM" of a line's minute and hour, which are the first two groups; undefined when there was no match. */
export function clockOf(match: RegExpExecArray | null) {
  const [, minute, hour] = match ?? []
  return minute === undefined || hour === undefined ? undefined : `${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`
}

// cron itself turns % into a line end, even within quotes.
const quote = (word: string) => quoteWord(word).replaceAll('%', String.raw`\%`)

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const ENVIRONMENT = [`PATH=${dirname(process.execPath)}:${PATH}`, 'LANG=C.UTF-8']

/** How an entry begins Node on a script, in words for its shell. */
const nodeWords = () => {
  const tsx = createRequire(import.meta.url).resolve('tsx')
  return [process.execPath, ...ownLoader(tsx)].map(quote).join(' ')
}

// Some crons take no command of more than 1000 characters, so each path stands there once.
const beginOf = (words: string) => `cd ${quote(root)} || exit; run() { ${nodeWords()} ${words} "$@"; }`

const run = (file: string, ...words: string[]) => {
  const log = relative(root, stateFile(file))
  return `${['run', ...words].join(' ')} >${log} 2>&1 || { cat ${log}; failed=1; }`
}

/** The text of the entry of the backup. `at` is "HH:MM" in the server's time. */
export function cronText(at: string) {
  const [hour, minute] = at.split(':').map(Number)
  const begin = beginOf('scripts/backup.ts --wait')
  const [backup, drill] = [run('backup.log'), run('drill.log', '--drill')]
  return [
    '# Made by scripts/backup.ts --install-cron, removed by --remove-cron. The output of the last runs is in ' +
      '.state/backup.log and drill.log; cron mails it when a run fails.',
    ...ENVIRONMENT,
    `${minute} ${hour} * * 1-6 root ${begin}; ${backup}; exit $failed`,
    '# On Sundays the newest set is tried out: after the backup, since a drill that starts beside it may come first.',
    `${minute} ${hour} * * 0 root ${begin}; ${backup}; ${drill}; exit $failed`,
    '',
  ].join('\n')
}

/**
 * The text of the entry of the certificate: four times a day, because an authority that takes back certificates gives
 * no more than a day. Each site has a minute of its own, so that not all ask an authority at once.
 */
export function certificateCronText(site: string) {
  const digest = createHash('sha256').update(site).digest()
  const [minute, hour] = [digest.readUInt16BE(0) % 60, digest.readUInt16BE(2) % 6]
  const hours = [0, 6, 12, 18].map(it => hour + it).join(',')
  return [
    '# Made by scripts/setup.ts --certificate. The output of the last run is in .state/certificate.log; cron ' +
      'mails it when it fails.',
    ...ENVIRONMENT,
    `${minute} ${hours} * * * root ${beginOf('scripts/setup.ts')}; ${run('certificate.log', '--renew')}; exit $failed`,
    '',
  ].join('\n')
}

/**
 * The text of the entry of the watch. One process looks each minute for an hour, since to begin Node costs more than
 * twenty looks; one that hangs is killed. `remind` is in hours.
 */
export function watchCronText(remind: string) {
  const lock = relative(root, stateFile('watch.lock'))
  return [
    '# Made by scripts/watch.ts --install-cron, removed by --remove-cron. Each minute cron begins a process that ' +
      'looks for an hour, and that ends at once while there is one.',
    ...ENVIRONMENT,
    `* * * * * root cd ${quote(root)} && exec flock --nonblock --close ${lock} timeout --kill-after=10 4000 ` +
      `${nodeWords()} scripts/watch.ts --tell --remind ${remind}`,
    '',
  ].join('\n')
}

/**
 * The text of the entry of the archive: one process ships each minute for an hour, as the watch looks. What it says
 * goes to the log alone: status.ts and the watch tell what is wrong.
 */
export function shipCronText() {
  const lock = relative(root, stateFile('shipping.lock'))
  const log = relative(root, stateFile('ship.log'))
  return [
    '# Made by scripts/backup.ts --install-cron where WAL=on, removed by --remove-cron. Each minute cron begins a ' +
      'process that ships for an hour, and that ends at once while there is one.',
    ...ENVIRONMENT,
    `* * * * * root cd ${quote(root)} && exec flock --nonblock --close ${lock} sh -c 'exec "$@" >${log} 2>&1' - ` +
      `timeout --kill-after=10 7200 ${nodeWords()} scripts/backup.ts --ship --hour --wait`,
    '',
  ].join('\n')
}

// Of what comes in by a bridge of Docker alone: what the nodes send each other one of them may hand on (a VPN, virtual
// machines). INPUT is for the networks of the node itself.
const NO_VXLAN =
  'for in in docker0 docker_gwbridge br-+; do for chain in INPUT DOCKER-USER; do ' +
  'set -- $chain -i $in -p udp --dport 4789 -j DROP; iptables -w -C "$@" || iptables -w -I "$@"; done; done'

/**
 * The text of the entry of a node of a Swarm, which starts what its engine could not. An engine tries once, at its own
 * start, to start what is in the networks of the Swarm, and after a power cut of all nodes there is no leader yet that
 * could give them (https://github.com/moby/moby/issues/32607). What somebody has stopped while it ran has no error, and
 * stays; so does what the engine is not to start by itself.
 *
 * It also keeps containers from putting packets into the networks of the Swarm: each node takes them from whoever it
 * hears. A rule of iptables is gone when the machine starts again.
 */
export function nodeCronText(project: string) {
  const filters = [
    'status=exited',
    `label=com.docker.compose.project=${project}`,
    'label=com.docker.compose.oneoff=False',
  ]
  const wanted = String.raw`and .State.Error (eq .HostConfig.RestartPolicy.Name \"always\" \"unless-stopped\")`
  return [
    '# Made by scripts/setup.ts on each node, removed by --leave and --one-server. After a power cut it starts what ' +
      'the engine could not: nginx, on the db node postgres, minio, wal and the registry too. And no container puts ' +
      'packets into the networks of the Swarm from outside.',
    `PATH=${PATH}`,
    `* * * * * root flock --nonblock --close /run/avril-node.lock sh -c '${NO_VXLAN}; docker ps --all --quiet ` +
      `${filters.map(it => `--filter ${it}`).join(' ')} | xargs -r docker inspect --format ` +
      `"{{if ${wanted}}}{{.Id}}{{end}}" | xargs -r -n 1 docker start' >/dev/null 2>&1`,
    '',
  ].join('\n')
}

const asRoot = (file: string, error: unknown) =>
  new Failure(`${file} cannot be written: ${messageOf(error)}`, {
    exitCode: EXIT.cannotWrite,
    hint: 'run it as root (sudo); is cron installed (apt install cron)?',
  })

/** Writes an entry; gives whether that changed anything. Throws a Failure (73) for who is not root. */
export function installCron(project: string, text: string, job: Job = 'backup') {
  const file = cronFile(project, job)
  if (readIfThere(file) === text) return false
  try {
    replaceFile(file, text)
  } catch (error) {
    throw asRoot(file, error)
  }
  return true
}

/** Removes an entry; gives whether there was one. Throws a Failure (73) for who is not root. */
export function removeCron(project: string, job: Job = 'backup') {
  const file = cronFile(project, job)
  if (readIfThere(file) === undefined) return false
  try {
    rmSync(file)
  } catch (error) {
    throw asRoot(file, error)
  }
  return true
}
