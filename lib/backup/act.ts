// What backup.ts does, by what it was told.
import { loadSettings, type Settings } from '../config.ts'
import { sayLost } from './bring_back.ts'
import { EXIT } from '../errors.ts'
import { look } from './backup_look.ts'
import type { Action, BackupValues } from './backup_options.ts'
import { setText } from './backup_report.ts'
import { backUp } from './backup_run.ts'
import { cronFile, installCron, removeCron } from './cron.ts'
import { fetchSet } from './offsite_fetch.ts'
import { publishSet, tryOut, type SetOptions } from './one_set.ts'
import { send } from './send.ts'

interface Outcome {
  /** for people */
  done?: string
  /** for stdout: in words, and as data for --json */
  text?: string
  data?: unknown
  code?: number
}

type Act = (options: BackupValues, ofSet: SetOptions, settings: Settings) => Promise<Outcome> | Outcome

const make: Act = async (options, { settings, name, wait }) => {
  const names = name === undefined ? ['latest'] : [name, 'latest']
  const set = await backUp({
    settings,
    prefix: name ?? settings.COMPOSE_PROJECT_NAME ?? '',
    names,
    withFiles: !options['no-files'],
    wait,
  })
  return { done: setText(set), text: set.folder, data: set }
}

const showSets = async (settings: Settings, what: Parameters<typeof look>[1]) => {
  const { found, text } = await look(settings, what)
  return { text, data: found }
}

const changeCron = ({ COMPOSE_PROJECT_NAME: project = '' }: Settings, at: string | undefined) => {
  const file = cronFile(project)
  const changed = at === undefined ? removeCron(project) : installCron(project, at)
  return {
    done: `${file} has ${at === undefined ? 'no backup' : `a backup each day at ${at}`}${changed ? '' : ' (as before)'}`,
    data: { file, at: at ?? null, changed },
  }
}

const ACTS: Record<Action, Act> = {
  make,
  list: ({ offsite }, _, settings) => showSets(settings, offsite ? 'offsite' : 'here'),
  'dry-run': (_, _ofSet, settings) => showSets(settings, 'plan'),
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
    code: await send(settings.BACKUP_DIR ?? '', name, file, Number(from)),
  }),
}

/** Does it. Throws the Failures of what is done, and 78 for a wrong setting. */
export const act = async (action: Action, options: BackupValues, name: string | undefined) => {
  const settings = loadSettings()
  return ACTS[action](options, { settings, name, keyFile: options.key, wait: options.wait }, settings)
}
