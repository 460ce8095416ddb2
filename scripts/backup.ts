import { usage } from '../lib/errors.ts'
import { main } from '../lib/main.ts'
import { print, say } from '../lib/say.ts'

const command = {
  usage: 'backup.ts [options] [name]',
  summary: 'Makes a backup set of the database and the uploaded files: dumped, read back, compared, and only then given its name. Run on the server.',
  words: [0, 1] as [number, number],
  options: {
    list: { help: 'list the sets; makes none' },
    offsite: { help: 'with --list: those in the bucket off the site' },
    fetch: { help: 'bring the newest set, or the one named, from the bucket off the site into BACKUP_DIR' },
    drill: { help: 'restore the newest set, or the one named, into a throw-away server, and compare; makes none' },
    publish: { help: 'put the dump of the newest set, or of the one named, at db/dumps/latest.dump, for the first start of an empty postgres' },
    key: { value: 'file', help: 'for --drill and --publish: the private key to an encrypted set (an age identity file); it is only read' },
    'dry-run': { help: 'print what would be kept and removed; makes no set' },
    'install-cron': { help: 'have cron make a set each day, and try one out each Sunday (as root)' },
    at: { value: 'HH:MM', help: 'when, for --install-cron (default 03:15, the time of the server)', form: /^([01]\d|2[0-3]):[0-5]\d$/ },
    'remove-cron': { help: 'have cron make none any more (as root)' },
    send: { value: 'file', help: 'print a file of the set that is named (backup_remote.ts asks for it); makes none', form: /^[\w.-]+$/ },
    from: { value: 'byte', help: 'where --send begins (default 0)', form: /^\d{1,15}$/ },
    'no-files': { help: 'save the database alone, not the uploaded files' },
    wait: { help: 'queue when another backup or restore is running, instead of ending with 75' },
    json: { help: 'print the result as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/backup.ts', 'make a set, and replace db/dumps/latest.dump'],
    ['tsx scripts/backup.ts before-import', 'the same under a name of its own, also as db/dumps/before-import.dump'],
    ['tsx scripts/backup.ts --list', 'which sets there are'],
    ['tsx scripts/backup.ts --install-cron --at 02:30', 'each night at half past two'],
  ] as [string, string][],
}

const ACTIONS = ['list', 'fetch', 'drill', 'publish', 'dry-run', 'install-cron', 'remove-cron', 'send'] as const
/** these are about a set that is named */
const OF_A_SET = new Set<string>(['fetch', 'drill', 'publish', 'send'])

await main(command, async (options, [name]) => {
  const actions = ACTIONS.filter(action => options[action])
  if (actions.length > 1) throw usage(`${actions.map(action => `--${action}`).join(' and ')} exclude one another`)
  const isOfSet = OF_A_SET.has(actions[0] ?? '')
  if (actions.length > 0 && !isOfSet && name !== undefined) throw usage(`--${actions[0]} takes no name`)
  if (options.offsite && !options.list) throw usage('--offsite goes with --list')
  if (options.key !== undefined && !options.drill && !options.publish) throw usage('--key goes with --drill and --publish')
  if (options.at !== undefined && !options['install-cron']) throw usage('--at goes with --install-cron')
  if (options.from !== undefined && options.send === undefined) throw usage('--from goes with --send')
  const { PREFIX } = await import('../lib/backup/sets.ts')
  if (name !== undefined && !isOfSet && (!PREFIX.test(name) || name === 'latest'))
    throw usage(`${JSON.stringify(name)} cannot be the name of a set`, 'up to 41 letters, digits, - and _; "latest" is kept for the newest one')
  const { loadSettings } = await import('../lib/config.ts')
  const settings = loadSettings()
  const { COMPOSE_PROJECT_NAME: project = '' } = settings

  if (options['install-cron'] || options['remove-cron']) {
    const { cronFile, installCron, removeCron } = await import('../lib/backup/cron.ts')
    const at = options.at ?? '03:15'
    const changed = options['install-cron'] ? installCron(project, at) : removeCron(project)
    const state = options['install-cron'] ? `has a backup each day at ${at}` : 'has no backup'
    return say.done(`${cronFile(project)} ${state}${changed ? '' : ' (as before)'}`)
  }
  if (options.send !== undefined) {
    const { send } = await import('../lib/backup/send.ts')
    return send(settings.BACKUP_DIR ?? '', name ?? '', options.send, Number(options.from ?? 0))
  }
  const ofSet = { settings, name, keyFile: options.key, wait: options.wait }
  if (options.fetch) {
    const { fetchSet } = await import('../lib/backup/offsite_fetch.ts')
    const set = await fetchSet(settings, name, options.wait)
    say.done(`${set} is here, whole`)
    return print(options.json ? JSON.stringify({ set }) : set)
  }
  if (options.publish) {
    const { publishSet } = await import('../lib/backup/one_set.ts')
    const set = await publishSet(ofSet)
    say.done(`db/dumps/latest.dump is that of ${set}`)
    return options.json ? print(JSON.stringify({ set })) : undefined
  }
  if (options.drill) {
    const { tryOut } = await import('../lib/backup/one_set.ts')
    const result = await tryOut(ofSet)
    say.done(`${result.set} was restored in ${result.seconds} s, and holds what it should`)
    return options.json ? print(JSON.stringify(result)) : undefined
  }
  if (options.list || options['dry-run']) {
    const { look } = await import('../lib/backup/backup_look.ts')
    const { found, text } = await look(settings, options['dry-run'] ? 'plan' : options.offsite ? 'offsite' : 'here')
    return print(options.json ? JSON.stringify(found) : text)
  }

  const { backUp } = await import('../lib/backup/backup_run.ts')
  const { setText } = await import('../lib/backup/backup_report.ts')
  const names = name === undefined ? ['latest'] : [name, 'latest']
  const set = await backUp({ settings, prefix: name ?? project, names, withFiles: !options['no-files'], wait: options.wait })
  say.done(setText(set))
  return print(options.json ? JSON.stringify(set) : set.folder)
})
