// The words of setup.ts, and which of them go together. Long, since each says what it does to a site.
import { HOST } from '../ssh/commands.ts'
import { usage } from '../system/errors.ts'
import type { Values } from './options.ts'

export const SETUP_OPTIONS = {
  check: { help: 'look at everything and change nothing. Warnings alone end with 0, a ✗ with 1' },
  host: {
    value: 'name',
    help: 'the host name of a public site, for the .env that is made (default localhost)',
    form: [
      /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
      'a host name: small letters, digits, "." and "-", as in avril.example.org',
    ] as const,
  },
  from: {
    value: '[host:]folder',
    help:
      'take over the site of the bash scripts: make .env from the one in their folder (their checkout of avril), ' +
      'which stays as it is. It shows what becomes of each setting, asks, and then does all that comes before the ' +
      'start: docs/coming-from-bash.md. With a host the old site is on another machine, reached by ssh',
  },
  cutover: {
    help:
      'with --from: give the site to this stack. While the old one serves, images are built, the files copied, and ' +
      'each app shows a page with a first dump; then it asks, stops the old apps, brings the last rows and files, ' +
      'compares them, starts this site on the ports of .env, and has cron save it. When that fails the old site is ' +
      'started again. Nothing of it is removed',
  },
  back: { help: 'with --from: stop this site, and start what the cutover stopped' },
  recover: {
    help:
      'bring back a site whose server is lost, on a machine that has no database: with the .env of the lost server ' +
      'here, what is newest off the site or in BACKUP_DIR becomes the database (by the archive up to the last ' +
      'second that was shipped, else by the newest set) and the uploaded files; then the site is started, the ' +
      'backups go on, and it says of which moment the data are. It shows first what it has found, and asks. Stopped ' +
      'at any point, it goes on when it is run again: docs/disaster-recovery.md',
  },
  key: {
    value: 'file',
    help: 'with --recover: the private key to what is encrypted (an age identity file); it is only read',
  },
  env: {
    value: 'file',
    help:
      'with --recover --on: the .env of the lost site, on this machine; it becomes that of the new one. Without it ' +
      'the one that is there is taken',
  },
  'as-of': {
    value: 'time',
    help:
      'with --recover: the bucket as it was then ("2026-11-30 06:00", in the time of Paris, or -2h), before ' +
      'somebody removed or overwrote what was in it',
  },
  at: {
    value: 'time',
    help:
      'with --recover: the database as it was at an earlier moment ("2026-11-25 14:32:10", in the time of Paris, or ' +
      '-2h)',
  },
  'dry-run': {
    help: 'with --from: show what becomes of each setting, with --recover what would come back; and change nothing',
  },
  yes: { help: 'with --from and --recover: do not ask; a recovery that may bring the wrong data is refused (78)' },
  'no-start': { help: 'do all that comes before the start, to look through .env first; then run it again without' },
  certificate: {
    value: 'mail',
    help:
      "get a certificate for WHOST and WHOST_ALIASES that renews itself, of Let's Encrypt or of ACME_DIRECTORY, for " +
      'a site that runs; nothing else. It accepts the terms of that authority, which writes to this address. ' +
      'certbot is installed for it, and port 80 must be reached from outside',
    form: [/^[^\s@<>,"']+@[^\s@<>,"']+\.[^\s@<>,"']+$/, 'a mail address'] as const,
  },
  renew: {
    help:
      'renew that certificate if it is due, and have nginx serve it, without a reload; what cron does four times a ' +
      'day',
  },
  upgrade: {
    help:
      'give phoenix a role in the database and a key to the files of its own, on an older site where it has those ' +
      'of the administrators, while the site is up; nothing else',
  },
  archive: {
    help:
      'keep what is written to the database as it is written, so that any moment can be brought back, on a site ' +
      'that runs without (WAL=on): postgres is started again, some seconds in which requests wait; then the service ' +
      'wal is started, and a first base backup is made; nothing else',
  },
  swarm: {
    value: 'address',
    help:
      'several servers: make this machine, which keeps the data, the first node of a Docker Swarm; the address is ' +
      'its own in the private network of the nodes. What runs goes on; nginx alone is started again, some seconds ' +
      'in which nobody has its ports (docs/several-servers.md)',
    form: [/^(\d{1,3}\.){3}\d{1,3}$/, 'an IPv4 address'] as const,
  },
  join: {
    value: 'host',
    help:
      'make a bare Debian machine, which ssh reaches as root, a node of the Swarm, or bring one up to date: Docker, ' +
      'the certificate of the registry, nginx',
    form: [HOST, 'a host that ssh knows'] as const,
  },
  manager: { help: 'with --join: it is a manager, too. One or three of them: with three one may be lost' },
  drain: {
    value: 'node',
    help:
      'take a node out without losing a request: balancers are told to send it nobody, and its instances are ' +
      'replaced by others elsewhere',
  },
  undrain: { value: 'node', help: 'give a node that was taken out its visitors back' },
  leave: {
    value: 'node',
    help: 'the same as --drain, and then it leaves the Swarm. One that is lost for good is forgotten at once',
  },
  'one-server': {
    help:
      'make this machine, which has the data, the only server again: the instances of the apps are replaced by ' +
      'containers of it without losing a request, the other nodes leave, and nginx is started again, some seconds ' +
      'in which nobody has its ports',
  },
  json: { help: 'print what was found as one JSON document on stdout' },
}

/** What is done to a node, and does nothing else. */
export const NODE_ACTIONS = ['swarm', 'join', 'drain', 'undrain', 'leave', 'one-server'] as const

/** Which of these is to be done, if one is. */
export function nodeActionOf(options: Values<typeof SETUP_OPTIONS>) {
  return NODE_ACTIONS.find(name => isGiven(options[name]))
}

const isGiven = (value: unknown) => value !== undefined && value !== false

const checkNodeWords = (options: Values<typeof SETUP_OPTIONS>) => {
  const action = nodeActionOf(options)
  if (options.manager && options.join === undefined) throw usage('--manager goes with --join')
  if (action === undefined) return
  const other = (Object.keys(SETUP_OPTIONS) as (keyof typeof SETUP_OPTIONS)[]).find(
    name => name !== action && name !== 'manager' && isGiven(options[name]),
  )
  if (other !== undefined) throw usage(`--${action} does nothing else: it does not go with --${other}`)
}

/** Throws a Failure (64) when the words do not go together. */
export function checkSetupWords(options: Values<typeof SETUP_OPTIONS>) {
  checkNodeWords(options)
  if (options.check && (options.host !== undefined || options['no-start'] || options.upgrade))
    throw usage('--check changes nothing, so it takes neither --host nor --no-start nor --upgrade')
  if (options.upgrade && (options.host !== undefined || options['no-start']))
    throw usage('--upgrade is for a site that runs, so it takes neither --host nor --no-start')
  const one = (['certificate', 'renew', 'archive', 'recover'] as const).find(name => isGiven(options[name]))
  const others = ['check', 'host', 'from', 'no-start', 'upgrade', 'renew', 'archive', 'recover'] as const
  const other = others.find(name => name !== one && isGiven(options[name]))
  if (one !== undefined && other !== undefined)
    throw usage(
      one === 'recover'
        ? `--recover is for a machine that has no site: it does not go with --${other}`
        : `--${one} is for a site that runs, and does nothing else: it does not go with --${other}`,
    )
  const own = (['key', 'env', 'as-of', 'at'] as const).find(name => options[name] !== undefined)
  if (!options.recover && own !== undefined) throw usage(`--${own} goes with --recover`)
  if (options.from === undefined && !options.recover && (options.yes || options['dry-run']))
    throw usage('--yes and --dry-run go with --from or --recover')
  if (options.from === undefined && (options.cutover || options.back))
    throw usage('--cutover and --back go with --from')
  if ([options.cutover, options.back, options['dry-run']].filter(Boolean).length > 1)
    throw usage('--cutover, --back and --dry-run are three different things')
  if (options.from !== undefined && (options.check || options.upgrade || options.host !== undefined))
    throw usage('--from makes .env of an old one, so it takes neither --check nor --upgrade nor --host')
}
