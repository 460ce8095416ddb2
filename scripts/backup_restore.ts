import { existsSync } from 'node:fs'
import { usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'

const NAME = [
  /^[a-z_][a-z0-9_]{0,62}$/,
  'a name for a database: small letters, digits and "_", no digit first, 63 at most',
] as const

const command = {
  usage: 'backup_restore.ts [options] [name|path]',
  summary:
    'Restores a dump beside the live database, then swaps it in; the former database is kept for a way back. Run on the server.',
  words: [0, 1] as [number, number],
  options: {
    yes: { help: 'do not ask (needed without a terminal)' },
    undo: { help: 'swap the former database back; doing it twice is a redo' },
    into: { value: 'database', help: 'restore into a new database of this name, and swap nothing', form: NAME },
    files: {
      help: 'bring back the uploaded files of the set too: those that are missing or differ; nothing is removed',
    },
    'files-only': {
      help: 'bring back only the files, of the set that is named or the newest that has some; the database is not touched',
    },
    anonymise: {
      value: 'sql file',
      help: 'run this SQL on what was restored, before it takes its place: all of it, or nothing is restored',
    },
    key: { value: 'file', help: 'the private key to an encrypted set (an age identity file); it is only read' },
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
    'dry-run': { help: 'prove the dump and print what would be done; changes nothing' },
    json: { help: 'print the result as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/backup_restore.ts', 'restore db/dumps/latest.dump'],
    ['tsx scripts/backup_restore.ts avril-20261122', 'restore the backup set whose name begins so'],
    ['tsx scripts/backup_restore.ts --files avril-20261122T031500Z', 'the database and the uploaded files of a set'],
    ['tsx scripts/backup_restore.ts --files-only', 'the uploaded files alone, of the newest set that has some'],
    ['tsx scripts/backup_restore.ts --key /root/key.txt avril-20261122', 'an encrypted set'],
    [
      'tsx scripts/backup_restore.ts ./old.dump --no-owner --no-acl',
      'restore a file as the old scripts did: without owners and rights',
    ],
    ['tsx scripts/backup_restore.ts --into look latest', 'restore into a database of its own, to look inside'],
    ['tsx scripts/backup_restore.ts --undo', 'go back to the database before the last restore'],
  ] as [string, string][],
  input: 'person' as const,
}

await main(command, async (options, [word]) => {
  const { anonymise } = options
  const ofTheDatabase =
    [options.into, anonymise, options['from-database']].some(it => it !== undefined) ||
    options['no-owner'] ||
    options['no-acl'] ||
    options.files
  if (options.undo && (ofTheDatabase || options['files-only'] || word !== undefined || options.key !== undefined))
    throw usage('--undo takes no dump, and no option that is about one')
  if (options['files-only'] && ofTheDatabase) throw usage('--files-only takes no option that is about the database')
  if (options.files && options.into !== undefined) throw usage('--files and --into exclude one another')
  if (anonymise !== undefined && !existsSync(anonymise)) throw usage(`there is no ${anonymise}`)
  const { loadSettings } = await import('../lib/system/settings.ts')
  const { agreement } = await import('../lib/cli/agree.ts')
  const { restore, undo } = await import('../lib/restore/restore.ts')
  const { restoreFiles } = await import('../lib/restore/restore_files.ts')
  const { reportRestore, reportFiles, filesProposal, restoreProposal, undoProposal } =
    await import('../lib/cli/restore_report.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const stack = await openStack()
  const settings = loadSettings()
  const agree = agreement(options)
  const { wait, key: keyFile } = options

  const files = async () => {
    const result = await restoreFiles(
      stack,
      settings,
      { word, keyFile },
      { wait, onPlan: plan => agree(filesProposal(plan)) },
    )
    if (result) reportFiles(result)
    return { result, code: 0 }
  }
  const database = async () => {
    const request = {
      word,
      into: options.into,
      files: options.files,
      anonymise,
      keyFile,
      fromDatabase: options['from-database'] ?? settings.POSTGRES_DB,
      noOwner: options['no-owner'],
      noAcl: options['no-acl'],
    }
    const result = await (options.undo
      ? undo(stack, settings, { wait, onPlan: plan => agree(undoProposal(plan)) })
      : restore(stack, settings, request, { wait, onPlan: plan => agree(restoreProposal(plan)) }))
    return { result, code: result ? reportRestore(result) : 0 }
  }

  const { result, code } = await (options['files-only'] ? files() : database())
  if (result && options.json) print(JSON.stringify(result))
  return code
})
