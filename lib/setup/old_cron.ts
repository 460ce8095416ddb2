// What cron runs of the bash scripts, and how it is taken out of its tables and put back.
import { lstatSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../system/checkout.ts'
import { readSmall, replaceContent } from '../system/files.ts'
import { clockOf } from './cron.ts'
import type { OldMachine } from './old_machine.ts'

// Red Hat's have those of the users in the last one.
const TABLES = ['/etc/cron.d', '/var/spool/cron/crontabs', '/var/spool/cron']
// What is in these is run whole.
const SCRIPTS = ['/etc/cron.hourly', '/etc/cron.daily', '/etc/cron.weekly', '/etc/cron.monthly', '/etc/systemd/system']

// With this checkout's folder: another site's on this machine are not put back with ours.
const MARK = `# replaced by ${root}/scripts/setup.ts --cutover: `

/** A line that names something of the old site. */
export interface CronLine {
  /** as its machine calls it */
  file: string
  line: string
  /** of a table of cron, and not of a script that cron runs, or of a unit of systemd */
  isTable: boolean
  /** it makes a backup, it starts the old site, or something else */
  use: 'backup' | 'start' | 'other'
}

// Extend it by a line; the first that fits counts. What renews a certificate may well restart nginx.
const USES: [RegExp, CronLine['use']][] = [
  [/certbot|acme|lego\b|dehydrated|letsencrypt/i, 'other'],
  [/avril-backup|backup(_\w+)?\.sh|pg_dump/, 'backup'],
  [/\bdocker(-compose| compose)\b.*\b(up|start|restart)\b|\bdocker (start|restart)\b|deploy_\w+\.sh/, 'start'],
]

const useOf = (line: string) => USES.find(([form]) => form.test(line))?.[1] ?? 'other'

// What this user may not read, root tells.
const textOf = (file: string) => {
  try {
    return readSmall(file) ?? ''
  } catch {
    return ''
  }
}

const filesIn = (top: string, folder: string) => {
  try {
    return readdirSync(join(top, folder)).map(name => join(folder, name))
  } catch {
    return []
  }
}

const tables = (top: string) => ['/etc/crontab', ...TABLES.flatMap(it => filesIn(top, it))]

type Place = Pick<OldMachine, 'top'>

// A link would become a file, and what is not UTF-8 another text.
const isOurs = (top: string, file: string) =>
  !lstatSync(join(top, file)).isSymbolicLink() && !textOf(join(top, file)).includes('\uFFFD')

/** A path or a name, and nothing that only begins so. */
const naming = (words: string[]) => {
  const escaped = words.map(word => word.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`(?<![\\w/.-])(${escaped.join('|')})(?=[/\\s"';&)]|$)`)
}

/**
 * The lines of cron's tables and scripts, and of systemd's units, that name an old checkout, those beside it, one of
 * its containers, or the scripts of its backups.
 */
export function oldCronLines(
  { folder, top }: Pick<OldMachine, 'folder' | 'top'>,
  containers: string[] = [],
): CronLine[] {
  const beside = ['avril-profil', 'avril-livret1'].map(name => join(dirname(folder), name))
  const names = naming([folder, ...beside, ...containers])
  const isOld = (line: string) =>
    !/^\s*#/.test(line) && (/avril-backup|backup_(local|remote|restore)\.sh/.test(line) || names.test(line))
  const linesIn = (files: string[], isTable: boolean) =>
    files.flatMap(file =>
      textOf(join(top, file))
        .split('\n')
        .filter(isOld)
        .map(line => ({ file, line, isTable: isTable && isOurs(top, file), use: useOf(line) })),
    )
  const scripts = SCRIPTS.flatMap(it => filesIn(top, it))
  return [...linesIn(tables(top), true), ...linesIn(scripts, false)]
}

/** Gives whether anything was changed. */
const rewrite = (file: string, edit: (line: string) => string) => {
  const before = textOf(file)
  const text = before.split('\n').map(edit).join('\n')
  if (text === before) return false
  // cron reads a user's table only when it is his own.
  replaceContent(file, text)
  return true
}

/** It becomes a comment; the others are a person's to look at. */
export function isReplaced({ isTable, use }: CronLine) {
  return isTable && use !== 'other'
}

/**
 * Makes comments of lines in tables of cron, which putBackCron reads; gives the tables that were changed. Throws a
 * Failure for who may not write them.
 */
export function takeOutOfCron({ top }: Place, lines: CronLine[]) {
  const inTables = lines.filter(isReplaced)
  return [...new Set(inTables.map(({ file }) => file))].filter(table => {
    const old = new Set(inTables.filter(({ file }) => file === table).map(({ line }) => line))
    return rewrite(join(top, table), line => (old.has(line) ? MARK + line : line))
  })
}

/** Puts back what takeOutOfCron made comments of; gives the tables that were changed. */
export function putBackCron({ top }: Place) {
  return tables(top).filter(file =>
    rewrite(join(top, file), line => (line.startsWith(MARK) ? line.slice(MARK.length) : line)),
  )
}

/** When the first backup of these lines is made each day, as "HH:MM"; undefined when it says something else. */
export function timeOfCron(lines: CronLine[]) {
  const backup = lines.find(({ use, isTable }) => isTable && use === 'backup')
  return clockOf(/^(\d{1,2})\s+(\d{1,2})\s+\*\s+\*\s+\*\s/.exec(backup?.line.trimStart() ?? ''))
}
