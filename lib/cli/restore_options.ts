// The words of backup_restore.ts, and which of them go together.
import { existsSync } from 'node:fs'
import { usage } from '../system/errors.ts'
import type { Values } from './options.ts'

const NAME = [
  /^[a-z_][a-z0-9_]{0,62}$/,
  'a name for a database: small letters, digits and "_", no digit first, 63 at most',
] as const

const TABLE = String.raw`([A-Za-z_]\w*\.)?[A-Za-z_]\w*`
const TABLES = [
  new RegExp(`^${TABLE}(,${TABLE})*$`),
  'names of tables, with commas between them: letters, digits and "_", the schema and a dot before',
] as const

export const RESTORE_OPTIONS = {
  yes: { help: 'do not ask (needed without a terminal)' },
  undo: { help: 'swap the former database back, with --whole-server the former data; doing it twice is a redo' },
  at: {
    value: 'time',
    help:
      'the database as it was at this moment: "2026-11-25 14:32:10" or 14:32 (in the time of Paris), ' +
      '2026-11-25T13:32:10Z, -10min; recovered beside from the archive of the log',
  },
  'before-deploy': {
    help:
      'the database as it was before the migration of the last deploy, of whichever app, or of the deploy of the ' +
      'release (its tag or commit) that is named; rollbacks do not count',
  },
  'whole-server': {
    help:
      'the whole server, with all of its databases and roles: base backup and log become its data as they are, ' +
      'beside the former ones, which are kept; of the moment of --at, or the last that the archive has. It needs no ' +
      'server that runs',
  },
  tables: {
    value: 'names',
    help:
      'lay these tables of a moment or a set (the newest, if none is named), with commas between them, beside the ' +
      'live ones, with their rows alone: meetings_at_20261125t133210z, by the time in UTC; nothing is replaced',
    form: TABLES,
  },
  rows: {
    value: 'where …',
    help:
      'with --tables and one table: put the rows of then for which this holds back into the live one: those that ' +
      'are gone, and those that were changed since; shows what would be inserted and changed, then does it in one ' +
      'transaction. The clause runs in the throw-away server alone',
  },
  'undo-rows': { value: 'file', help: 'take back what --rows has changed, by the file that it named' },
  into: { value: 'database', help: 'restore into a new database of this name, and swap nothing', form: NAME },
  files: {
    help: 'bring back the uploaded files of the set too: those that are missing or differ; nothing is removed',
  },
  'files-only': {
    help:
      'bring back only the files, of the set that is named or the newest that has some; ' +
      'the database is not touched',
  },
  anonymise: {
    value: 'sql file',
    help:
      "run this SQL on what was restored, as phoenix's role, before it takes its place: all of it, or nothing is " +
      'restored',
  },
  key: {
    value: 'file',
    help:
      'the private key to an encrypted set, or to a moment that is no longer beside the database (an age identity ' +
      'file); it is only read',
  },
  'from-database': {
    value: 'database',
    help: 'accept a dump of this database (default POSTGRES_DB)',
    form: [/^.{1,63}$/, 'the name of a database: 63 characters at most'] as const,
  },
  'no-owner': { help: 'everything belongs to POSTGRES_USER, whoever owned it' },
  'no-acl': { help: 'leave out the rights that the dump grants' },
  wait: {
    help: 'queue, for six hours at most, when a backup, a restore or a deploy is running, instead of ending with 75',
  },
  'no-hooks': { help: "do not run the team's hooks (HOOKS_DIR)" },
  'dry-run': { help: 'prove the dump and print what would be done; changes nothing' },
  json: { help: 'print the result as one JSON document on stdout' },
}

/** Throws a Failure (64) when the words do not go together, or the file of SQL is not there. */
export function checkRestoreWords(options: Values<typeof RESTORE_OPTIONS>, name: string | undefined) {
  const { anonymise } = options
  const ofTheDatabase =
    [options.into, anonymise, options['from-database']].some(it => it !== undefined) ||
    options['no-owner'] ||
    options['no-acl'] ||
    options.files
  if (options.undo && (ofTheDatabase || options['files-only'] || name !== undefined || options.key !== undefined))
    throw usage('--undo takes no dump, and no option that is about one')
  if (options['whole-server'] && (ofTheDatabase || options['files-only']))
    throw usage('--whole-server brings back the server as it was: no option that is about one database, or the files')
  if (options['whole-server'] && name !== undefined && !options['before-deploy'])
    throw usage('--whole-server takes no name: a moment is named by --at')
  if (options['files-only'] && ofTheDatabase) throw usage('--files-only takes no option that is about the database')
  checkTableWords(options, ofTheDatabase || options['files-only'], name)
  const isMoment = options.at !== undefined || options['before-deploy']
  if (isMoment && (options.files || options['files-only'] || options.undo || options['from-database'] !== undefined))
    throw usage('--at and --before-deploy are about the database alone: no --files, no --from-database, no --undo')
  if (options.at !== undefined && (name !== undefined || options['before-deploy']))
    throw usage('--at takes no name, and no --before-deploy')
  if (options.files && options.into !== undefined) throw usage('--files and --into exclude one another')
  if (anonymise !== undefined && !existsSync(anonymise)) throw usage(`there is no ${anonymise}`)
}

const checkTableWords = (
  { tables, rows, 'undo-rows': undoRows, ...options }: Values<typeof RESTORE_OPTIONS>,
  others: boolean,
  name: string | undefined,
) => {
  if (rows !== undefined && (tables === undefined || tables.includes(',')))
    throw usage('--rows is about one table: name it by --tables')
  if ((tables !== undefined || undoRows !== undefined) && (others || options.undo || options['whole-server']))
    throw usage('--tables and --undo-rows take no option that is about the whole database or the files')
  const from = [tables, options.at, name].some(it => it !== undefined) || options['before-deploy']
  if (undoRows !== undefined && from) throw usage('--undo-rows takes a file, and nothing else')
}
