// Which backup sets are kept.
import type { Settings } from '../system/settings.ts'

export interface Rules {
  /** all sets of the last so many days */
  days: number
  /** the newest of each of the last so many weeks and months */
  weeks: number
  months: number
  /** none of these is kept longer than so many days; undefined when there is no such limit */
  maxDays?: number | undefined
}

/** As .env has them. */
export function rulesOf({ BACKUP_DAYS, BACKUP_WEEKS, BACKUP_MONTHS, BACKUP_MAX_DAYS }: Settings): Rules {
  return {
    days: BACKUP_DAYS,
    weeks: BACKUP_WEEKS,
    months: BACKUP_MONTHS,
    maxDays: BACKUP_MAX_DAYS,
  }
}

interface Dated {
  name: string
  /** ISO 8601, UTC */
  made: string
}

export interface Kept {
  name: string
  keep: boolean
  /** why it is kept, in words */
  reason: string
}

// These stay whatever their age, the hard maximum included: a team that finds its cron entry dead for a month still has
// something to restore. While backups are made, the last three are young, so only a site without new ones meets this;
// it is told (isOverdue), and whoever must obey the limit all the same removes them by hand.
const ALWAYS = 3
const DAY = 86_400_000

// Weeks begin on Monday; 1970-01-01 was a Thursday.
const weekOf = (time: number) => Math.floor((time / DAY + 3) / 7)
const monthOf = (time: number) => new Date(time).getUTCFullYear() * 12 + new Date(time).getUTCMonth()

/** Whether a set is older than the hard maximum: it is there only because it is one of the last. */
export function isOverdue(made: string, { maxDays }: Pick<Rules, 'maxDays'>, now: Date) {
  return maxDays !== undefined && now.getTime() - Date.parse(made) >= maxDays * DAY
}

/** What becomes of each set, newest first. Only sets that are complete and verified may be given. */
export function retain(sets: Dated[], { days, weeks, months, maxDays }: Rules, now: Date): Kept[] {
  const sorted = sets.toSorted((a, b) => b.made.localeCompare(a.made))
  const seen = new Set<string>()
  const first = (key: string) => !seen.has(key) && Boolean(seen.add(key))
  return sorted.map(({ name, made }, index) => {
    const time = Date.parse(made)
    const week = weekOf(time)
    const month = monthOf(time)
    const isFirstOfWeek = first(`week ${week}`)
    const isFirstOfMonth = first(`month ${month}`)
    const isLast = index < ALWAYS
    if (isOverdue(made, { maxDays }, now))
      return {
        name,
        keep: isLast,
        reason: `${isLast ? `one of the last ${ALWAYS}, though ` : ''}older than BACKUP_MAX_DAYS (${maxDays})`,
      }
    const reasons = [
      isLast && `one of the last ${ALWAYS}`,
      now.getTime() - time < days * DAY && `of the last ${days} days`,
      isFirstOfWeek && weekOf(now.getTime()) - week < weeks && `the newest of its week`,
      isFirstOfMonth && monthOf(now.getTime()) - month < months && `the newest of its month`,
    ].filter(reason => reason !== false)
    return { name, keep: reasons.length > 0, reason: reasons[0] ?? 'older than what is kept' }
  })
}
