// The archive in words.
import type { Base } from '../archive/bases.ts'
import { countedPart, type MomentDrilled } from '../archive/drill_moment.ts'
import type { ArchiveStatus } from '../status/archive_status.ts'
import { age, counted, size } from '../system/format.ts'
import { momentText } from '../system/site_time.ts'
import { paint } from './terminal.ts'

const SECOND = 1000

/** "4 s ago", "3 minutes ago" */
const ago = (time: string, now: Date) => {
  const milliseconds = now.getTime() - Date.parse(time)
  return milliseconds < 120 * SECOND
    ? `${Math.max(0, Math.round(milliseconds / SECOND))} s ago`
    : `${age(new Date(time), now)} ago`
}

// As it can be typed for --at: the first whole second in it, the last one before its end.
const asTyped = (time: string, round: (seconds: number) => number) =>
  momentText(new Date(round(Date.parse(time) / SECOND) * SECOND)).replace(/ \(Paris.*/, ' (Paris)')

/** "the base 20261122T031500Z, incremental, 67.1 MB" */
export function baseText({ name, kind, bytes }: Base) {
  return `the base ${name}, ${kind}, ${size(bytes)}`
}

/** "any moment from 2026-11-18 03:15:24 (Paris) to 4 s ago", with what is known of the ways there. */
export function archiveText({ windows, shipped, offsite, base, drill, trouble }: ArchiveStatus, now = new Date()) {
  const mark = trouble ? paint.red('✗') : paint.green('✓')
  const spans = windows.map(({ from, to }, index) => {
    const isLast = index === windows.length - 1
    return `from ${asTyped(from, Math.ceil)} to ${isLast ? ago(to, now) : asTyped(to, Math.floor)}`
  })
  const facts = [
    spans.length > 0 ? `any moment ${spans.join(', and ')}` : 'no moment yet',
    shipped ? `in BACKUP_DIR ${ago(shipped, now)}` : '',
    offsite?.at ? `off the site ${ago(offsite.at, now)}` : '',
    base ? `last base ${age(new Date(base.endedAt), now)} ago, ${base.kind}` : '',
    drill
      ? `last drill ${age(new Date(drill.time), now)} ago, ` +
        (drill.seconds === undefined ? 'FAILED' : `${drill.seconds} s`)
      : '',
    trouble ?? '',
  ]
  return `${mark} archive  ${facts.filter(Boolean).join(' · ')}`
}

/**
 * "the database of 2026-11-22 15:32:10 (Paris, UTC+01:00) was recovered in 9 s: public.users has its 1,204 rows, and no
 * table or index is damaged"
 */
export function momentDrilledText({ at, seconds, rows, ...counts }: MomentDrilled) {
  return (
    `the database of ${momentText(new Date(at))} was recovered in ${seconds} s: ${countedPart(counts)} has its ` +
    `${counted(rows, 'row')}, and no table or index is damaged`
  )
}
