// What backup.ts does, by what it was told.
import { loadSettings, type Settings } from '../system/settings.ts'
import { sayLost } from '../postgres/bring_back.ts'
import { EXIT } from '../system/errors.ts'
import { planRetention } from '../backup/apply_retention.ts'
import { listOffsite, openOffsite } from '../backup/offsite/layout.ts'
import { readOffsite } from '../backup/offsite/state.ts'
import { rulesOf } from '../backup/retention.ts'
import { listSets } from '../backup/sets.ts'
import { keptText, listText } from './backup_report.ts'
import type { Action, BackupValues } from './backup_options.ts'
import { setText } from '../backup/set_summary.ts'
import { backUp } from '../backup/run_backup.ts'
import { cronFile, installCron, removeCron } from '../setup/cron.ts'
import { fetchSet } from '../backup/offsite/pull.ts'
import { publishSet, type SetOptions } from '../backup/publish_set.ts'
import { tryOut } from '../backup/run_drill.ts'
import { send } from '../backup/serve_file.ts'

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
  return { done: setText(set), text: set.folder, data: set }
}

const listHere = ({ BACKUP_DIR: folder }: Settings) => {
  const { sets, broken } = listSets(folder)
  return { text: listText(folder, { sets, broken, copied: readOffsite()?.sets ?? [] }), data: sets }
}

const listThere = async (settings: Settings) => {
  const site = await openOffsite(settings)
  try {
    const { sets, unknown } = await listOffsite(site)
    return { text: listText('the bucket off the site', { sets, unknown }), data: sets }
  } finally {
    await site.dispose()
  }
}

const changeCron = ({ COMPOSE_PROJECT_NAME: project }: Settings, at: string | undefined) => {
  const file = cronFile(project)
  const changed = at === undefined ? removeCron(project) : installCron(project, at)
  return {
    done: `${file} has ${at === undefined ? 'no backup' : `a backup each day at ${at}`}${changed ? '' : ' (as before)'}`,
    data: { file, at: at ?? null, changed },
  }
}

const ACTIONS: Record<Action, Run> = {
  make,
  list: ({ offsite }, _, settings) => (offsite ? listThere(settings) : listHere(settings)),
  'dry-run': (_, _ofSet, settings) => {
    const plan = planRetention(settings.BACKUP_DIR, rulesOf(settings))
    return { text: keptText(plan), data: plan }
  },
  fetch: async (_, { name, wait }, settings) => {
    const set = await fetchSet(settings, name, wait)
    return { done: `${set} is here, whole`, text: set, data: { set } }
  },
  publish: async (_, ofSet) => {
    const set = await publishSet(ofSet)
    return { done: `db/dumps/latest.dump is that of ${set}`, data: { set } }
  },
  drill: async (_, ofSet) => {
    const result = await tryOut(ofSet)
    sayLost(result.lost)
    const all = result.lost.length === 0
    return {
      done: `${result.set} was restored in ${result.seconds} s, and ${all ? 'holds what it should' : 'holds all rows'}`,
      data: result,
      code: all ? 0 : EXIT.incomplete,
    }
  },
  'install-cron': ({ at = '03:15' }, _, settings) => changeCron(settings, at),
  'remove-cron': (_, _ofSet, settings) => changeCron(settings, undefined),
  send: async ({ send: file = '', from = '0' }, { name = '' }, settings) => ({
    code: await send(settings.BACKUP_DIR, name, file, Number(from)),
  }),
}

/** Does it. Throws the Failures of what is done, and 78 for a wrong setting. */
export async function runAction(action: Action, options: BackupValues, name: string | undefined) {
  const settings = loadSettings()
  return ACTIONS[action](options, { settings, name, keyFile: options.key, wait: options.wait }, settings)
}
