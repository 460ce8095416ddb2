// What backup.ts shows without making a set.
import { keptText, listText } from './backup_report.ts'
import type { Settings } from '../config.ts'
import { listOffsite, withOffsite } from './offsite.ts'
import { readOffsite } from './offsite_state.ts'
import { planRetention } from './publish.ts'
import { rulesOf } from './retention.ts'
import { listSets } from './sets.ts'

/** The sets here, those off the site, or what becomes of those here: as data and in words. */
export const look = async (settings: Settings, what: 'here' | 'offsite' | 'plan') => {
  const { BACKUP_DIR: folder = '' } = settings
  if (what === 'plan') {
    const plan = planRetention(folder, rulesOf(settings))
    return { found: plan, text: keptText(plan) }
  }
  if (what === 'offsite') {
    const { sets, unknown } = await withOffsite(settings, listOffsite)
    return { found: sets, text: listText('the bucket off the site', { sets, unknown }) }
  }
  const { sets, broken } = listSets(folder)
  return { found: sets, text: listText(folder, { sets, broken, copied: readOffsite()?.sets ?? [] }) }
}
