// backup.ts --drill: what it says, and the page that it leaves.
import { join } from 'node:path'
import { drillMoment, lastMomentDrill } from '../archive/drill_moment.ts'
import { isArchived } from '../archive/receiver.ts'
import { lastDrill, readDrills } from '../backup/drill.ts'
import type { SetOptions } from '../backup/publish_set.ts'
import { runDrill } from '../backup/run_drill.ts'
import { appsText } from '../backup/set_summary.ts'
import { listSets } from '../backup/sets.ts'
import { EXIT, messageOf } from '../system/errors.ts'
import { replaceFile } from '../system/files.ts'
import { withoutSecrets } from '../system/notify.ts'
import { say } from '../system/progress.ts'
import type { Settings } from '../system/settings.ts'
import { momentDrilledText } from './archive_report.ts'
import { drillPage } from './drill_page.ts'
import { sayLost } from './lost_report.ts'

// Beside the sets: whoever keeps them has it, too.
const writeDrillPage = (settings: Settings) => {
  const drills = readDrills()
  const set = listSets(settings.BACKUP_DIR).sets.find(({ name }) => name === drills.at(-1)?.set)
  const moment = isArchived(settings) ? lastMomentDrill() : undefined
  const hide = (text: string) => withoutSecrets(settings, text)
  const page = drillPage({ project: settings.COMPOSE_PROJECT_NAME, drills, set, moment, hide })
  if (page === undefined) return
  const file = join(settings.BACKUP_DIR, 'drill.html')
  replaceFile(file, page, 0o600)
  say.detail(`the page for an auditor: ${file}`)
}

/** Does what is a drill, and has the page tell of it, however it ends. */
const withPage = async <T>(settings: Settings, work: () => Promise<T>) => {
  const before = lastDrill()?.time
  try {
    return await work()
  } finally {
    if (lastDrill()?.time !== before)
      try {
        writeDrillPage(settings)
      } catch (error) {
        say.warn(`the page of the drill is not written: ${messageOf(error)}`)
      }
  }
}

/**
 * Tries a set out, and with an archive a moment, too, when no set is named; the page tells of it, however it ends.
 * Throws a Failure: 65 when what comes back is not what it should be.
 */
export function drillAndTell(ofSet: SetOptions, settings: Settings) {
  return withPage(settings, async () => {
    const result = await runDrill(ofSet)
    sayLost(result.lost)
    const all = result.lost.length === 0
    const holds = all ? 'holds what it should' : 'holds all rows'
    const done = `${result.set} was restored in ${result.seconds} s, and ${holds}${appsText(result.apps)}`
    const code = all ? 0 : EXIT.incomplete
    if (ofSet.name !== undefined || !isArchived(settings)) return { done, data: result, code }
    say.done(done)
    const moment = await drillMoment(settings)
    return { done: momentDrilledText(moment), data: { ...result, moment }, code }
  })
}
