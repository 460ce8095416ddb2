// Who hears of an upgrade of PostgreSQL, or of its way back: the team's hooks, and the people whom NOTICE_URL names.
import { detailsOf, messageOf } from '../system/errors.ts'
import { counted, seconds } from '../system/format.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import { who } from '../system/identity.ts'
import { tellPeople } from '../system/notify.ts'
import type { Settings } from '../system/settings.ts'

/** What is done, as hooks get it: the major versions, and the volume that is kept for a way back. */
export interface AboutUpgrade {
  kind: 'upgrade' | 'undo'
  from: number
  to: number
  kept: string
}

/** What the words need of its result. */
interface Done {
  tables: number
  rows: number
  lost: unknown[]
  waited: { switch: number }
}

const titleOf = ({ kind, from, to }: AboutUpgrade) =>
  kind === 'upgrade' ? `the upgrade of PostgreSQL ${from} to ${to}` : `the way back from PostgreSQL ${from} to ${to}`

/** "anne has begun the upgrade of PostgreSQL 17 to 18" */
export function begunText(about: AboutUpgrade, person: string) {
  return `${person} has begun ${titleOf(about)}`
}

/** "PostgreSQL 18 serves the site, brought by anne in 48.2 s; requests waited for 3.1 s. The way back: …" */
export function upgradedText(
  { kind, to }: AboutUpgrade,
  { rows, tables, lost, waited }: Done,
  spent: number,
  person: string,
) {
  const same = kind === 'undo' ? '' : `; ${counted(rows, 'row')} in ${counted(tables, 'table')} are the same in both`
  const missing = lost.length > 0 ? `, but ${counted(lost.length, 'object')} could not be made again` : ''
  const back = `${kind === 'undo' ? 'Forward again' : 'The way back'}: tsx scripts/postgres_upgrade.ts --undo`
  const serves = `PostgreSQL ${to} serves the site${kind === 'undo' ? ' again' : ''}`
  return (
    `${serves}, brought by ${person} in ${seconds(spent)}${same}${missing}; requests waited for ` +
    `${seconds(waited.switch * 1000)} at most. ${back}`
  )
}

/** The same of one that failed: why, and what to do. */
export function notUpgradedText(about: AboutUpgrade, error: unknown, spent: number, person: string) {
  const { hint = 'tsx scripts/status.ts says how the site is' } = detailsOf(error)
  const why = messageOf(error).split('\n')[0]
  return `${titleOf(about)} by ${person} failed after ${seconds(spent)}: ${why}; ${hint}`
}

/**
 * Does it between the hooks, and tells people of its beginning and its end. Throws a Failure: 77 when a hook refuses.
 */
export async function announced<Result extends Done>(
  settings: Settings,
  about: AboutUpgrade,
  work: () => Promise<Result>,
): Promise<Result> {
  const after = await runBefore('upgrade', settings, about)
  const person = who()
  const began = performance.now()
  const spent = () => performance.now() - began
  await tellPeople(settings, true, begunText(about, person))
  const told = async () => {
    try {
      const result = await work()
      await tellPeople(settings, result.lost.length === 0, upgradedText(about, result, spent(), person))
      return result
    } catch (error) {
      await tellPeople(settings, false, notUpgradedText(about, error, spent(), person))
      throw error
    }
  }
  return tellAfter(after, told, ({ lost, tables, rows }) => ({ lost: lost.length, tables, rows }))
}
