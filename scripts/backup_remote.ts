import { PREFIX } from '../lib/cli/backup_options.ts'
import { usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { ON } from '../lib/cli/options.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'backup_remote.ts [options] [name]',
  summary: `Makes a verified backup set on the server and brings its database to db/dumps/latest.dump here (or <name>.dump). A download that was cut goes on where it
stopped. It is a copy of personal data: the server notes who took it.`,
  words: [0, 1] as [number, number],
  options: {
    on: ON,
    key: { value: 'file', help: 'the private key here, when the server encrypts its sets: the dump is decrypted here' },
    restore: { help: 'then restore it into the stack here' },
    anonymise: {
      value: 'sql file',
      help: 'with --restore: run this SQL on what was restored, before it takes its place',
    },
    'no-owner': { help: 'with --restore: everything belongs to POSTGRES_USER, whoever owned it' },
    'no-acl': { help: 'with --restore: leave out the rights that the dump grants' },
    'no-files': { help: 'the set on the server is of the database alone, without the uploaded files' },
    yes: { help: 'do not ask before the database here is replaced (needed without a terminal)' },
    json: { help: 'print the result as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/backup_remote.ts', 'bring the database of DEPLOY_HOST to db/dumps/latest.dump'],
    [
      'tsx scripts/backup_remote.ts --restore --anonymise anonymise.sql',
      "a developer's copy, without the names of people",
    ],
  ] as [string, string][],
  local: true,
}

await main(command, async (options, [name]) => {
  const { restore: restoring, anonymise } = options
  if (!restoring && (anonymise !== undefined || options['no-owner'] || options['no-acl'] || options.yes))
    throw usage('--anonymise, --no-owner, --no-acl and --yes go with --restore')
  if (name !== undefined && !PREFIX.test(name))
    throw usage(`${JSON.stringify(name)} cannot be the name of a dump`, 'up to 41 letters, digits, - and _')
  const { fetchBackup } = await import('../lib/remote/fetch_backup.ts')
  const local = restoring ? await (await import('../lib/remote/restore_here.ts')).openHere(anonymise) : undefined

  const { set, dump } = await fetchBackup(options.on ?? '', name, !options['no-files'], options.key)

  say.done(`${dump} is the database of ${set.name}, made on ${set.host}`)
  say.warn('it holds personal data: keep it no longer than you need it, and give it to nobody')
  const { reportRestore, restoreProposal } = await import('../lib/cli/restore_report.ts')
  const { agreement } = await import('../lib/cli/agree.ts')
  const agree = agreement({ yes: options.yes })
  const roles = { noOwner: options['no-owner'], noAcl: options['no-acl'] }
  const restored = await local?.restore(set, dump, roles, plan => agree(restoreProposal(plan)))
  const code = restored ? reportRestore(restored) : 0
  print(options.json ? JSON.stringify({ set: set.name, dump, restored: restored ?? null }) : dump)
  return code
})
