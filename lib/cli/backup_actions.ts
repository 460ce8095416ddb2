// What backup.ts does, by what it was told.
import { loadSettings, type Settings } from '../system/settings.ts'
import { hookLines, withoutHooks } from '../system/hooks.ts'
import { planRetention } from '../backup/apply_retention.ts'
import { listOffsite, openOffsite } from '../backup/offsite/layout.ts'
import { readOffsite } from '../backup/offsite/state.ts'
import { isArchived } from '../archive/receiver.ts'
import { fetchChain } from '../archive/fetch_chain.ts'
import { archiveNightly } from '../archive/nightly.ts'
import { ship } from '../archive/ship.ts'
import { dropIdleSlot } from '../archive/slot.ts'
import { readArchiveStatus } from '../status/archive_status.ts'
import { archiveText, baseText } from './archive_report.ts'
import { counted, size } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { rulesOf } from '../backup/retention.ts'
import { listSets } from '../backup/sets.ts'
import { keptText, listText } from './backup_report.ts'
import { drillAndTell } from './drill_action.ts'
import type { Action, BackupValues } from './backup_options.ts'
import { setText } from '../backup/set_summary.ts'
import { backUp } from '../backup/run_backup.ts'
import { cronFile } from '../setup/cron.ts'
import { changeBackupCron } from '../setup/nightly_backup.ts'
import { fetchSet } from '../backup/offsite/pull.ts'
import { publishSet, type SetOptions } from '../backup/publish_set.ts'
import { renewReady } from '../restore/renew_ready.ts'
import { serveFile } from '../backup/serve_file.ts'
import { readMoment } from '../system/site_time.ts'

interface Outcome {
  /** for people */
  done?: string
  /** for stdout: in words, and as data for --json */
  text?: string
  data?: unknown
  code?: number
}

type Run = (options: BackupValues, ofSet: SetOptions, settings: Settings) => Promise<Outcome> | Outcome

const make: Run = async (options, { settings, name, wait }) => {
  const names = name === undefined ? ['latest'] : [name, 'latest']
  const set = await backUp({
    settings,
    prefix: name ?? settings.COMPOSE_PROJECT_NAME,
    names,
    withFiles: !options['no-files'],
    wait,
  })
  await renewReady(settings)
  // A set of a name of its own is made before something else; the archive goes on all the same.
  if (name !== undefined || !isArchived(settings)) {
    if (name === undefined && (await dropIdleSlot(settings)))
      say.detail('WAL is not on any more: the server keeps nothing for the service wal from now on')
    return { done: setText(set), text: set.folder, data: set }
  }
  say.done(setText(set))
  const base = await archiveNightly(settings)
  return { done: baseText(base), text: set.folder, data: { ...set, base } }
}

const listHere = (settings: Settings) => {
  const { BACKUP_DIR: folder } = settings
  const { sets, broken } = listSets(folder)
  const text = listText(folder, { sets, broken, copied: readOffsite()?.sets ?? [] })
  const archive = readArchiveStatus(settings)
  if (!archive) return { text, data: sets }
  return { text: `${archiveText(archive)}\n${text}`, data: sets, code: archive.trouble === null ? 0 : 1 }
}

/** seconds */
const HOUR = 3600

const shipNow: Run = async ({ hour, every }, { wait }, settings) => {
  const repeat = hour ? { every: Number(every ?? 60), long: HOUR } : undefined
  const pass = await ship(settings, { wait, ...(repeat ? { repeat } : {}) })
  if (!pass) return {}
  return { done: `${counted(pass.pieces, 'piece')} of the WAL shipped, ${size(pass.bytes)}`, data: pass }
}

const timeOf = (asOf: string | undefined) => (asOf === undefined ? undefined : readMoment(asOf))

const listThere = async (settings: Settings, asOf: Date | undefined) => {
  const site = await openOffsite(settings, asOf)
  try {
    const { sets, unknown } = await listOffsite(site)
    return { text: listText('the bucket off the site', { sets, unknown }), data: sets }
  } finally {
    await site.dispose()
  }
}

const changeCron = (settings: Settings, at: string | undefined) => {
  const file = cronFile(settings.COMPOSE_PROJECT_NAME)
  const changed = changeBackupCron(settings, at)
  const shipping = at !== undefined && isArchived(settings) ? ', and the archive is shipped each minute' : ''
  return {
    done:
      `${file} has ` +
      `${at === undefined ? 'no backup' : `a backup each day at ${at}`}${shipping}${changed ? '' : ' (as before)'}`,
    data: { file, at: at ?? null, changed },
  }
}

const ACTIONS: Record<Action, Run> = {
  make,
  list: ({ offsite, 'as-of': asOf }, _, settings) => (offsite ? listThere(settings, timeOf(asOf)) : listHere(settings)),
  'dry-run': (_, _ofSet, settings) => {
    const plan = planRetention(settings.BACKUP_DIR, rulesOf(settings))
    const { before, after } = hookLines('backup', settings)
    const hooks = [before, after].map(lines => lines.map(it => `hook    ${it}`)) as [string[], string[]]
    return { text: [...hooks[0], keptText(plan), ...hooks[1]].join('\n'), data: plan }
  },
  fetch: async ({ archive, 'as-of': asOf }, { name, wait }, settings) => {
    if (archive) {
      const chain = await fetchChain(settings, name, wait, timeOf(asOf))
      return { done: `the chain ${chain} is here, whole`, data: { chain } }
    }
    const set = await fetchSet(settings, name, wait, timeOf(asOf))
    return { done: `${set} is here, whole`, text: set, data: { set } }
  },
  ship: shipNow,
  publish: async (_, ofSet) => {
    const set = await publishSet(ofSet)
    return { done: `db/dumps/latest.dump is that of ${set}`, data: { set } }
  },
  drill: (_, ofSet, settings) => drillAndTell(ofSet, settings),
  'install-cron': ({ at = '03:15' }, _, settings) => changeCron(settings, at),
  'remove-cron': (_, _ofSet, settings) => changeCron(settings, undefined),
  send: async ({ send: file = '', from = '0' }, { name = '' }, settings) => ({
    code: await serveFile(settings.BACKUP_DIR, name, file, Number(from)),
  }),
}

/** Does it. Throws the Failures of what is done, and 78 for a wrong setting. */
export async function runAction(action: Action, options: BackupValues, name: string | undefined) {
  const settings = options['no-hooks'] ? withoutHooks(loadSettings()) : loadSettings()
  return ACTIONS[action](options, { settings, name, keyFile: options.key, wait: options.wait }, settings)
}
