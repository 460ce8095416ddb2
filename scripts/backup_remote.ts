import { checkRemoteBackupWords, REMOTE_BACKUP_OPTIONS } from '../lib/cli/remote_backup_options.ts'
import { main } from '../lib/cli/main.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'backup_remote.ts [options] [name]',
  summary: `Makes a verified backup set on the server and brings its database to db/dumps/latest.dump here (or
<name>.dump). A download that was cut goes on where it stopped. It is a copy of personal data: the server notes who took
it.`,
  words: [0, 1] as [number, number],
  options: REMOTE_BACKUP_OPTIONS,
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
  checkRemoteBackupWords(options, name)
  const { restore: restoring, anonymise } = options
  const { fetchBackup } = await import('../lib/remote/fetch_backup.ts')
  const local = restoring ? await (await import('../lib/remote/restore_here.ts')).openHere(anonymise) : undefined

  const { set, dump } = await fetchBackup(options.on, name, !options['no-files'], options.key)

  say.done(`${dump} is the database of ${set.name}, made on ${set.host}`)
  say.warn('it holds personal data: keep it no longer than you need it, and give it to nobody')
  const { reportRestore, restoreProposal } = await import('../lib/cli/restore_report.ts')
  const { executeAgreed } = await import('../lib/cli/agree.ts')
  const roles = { noOwner: options['no-owner'], noAcl: options['no-acl'] }
  const restoreHere = async ({ openRestore, hooks }: NonNullable<typeof local>) => {
    const planned = await openRestore(set, dump, roles)
    return executeAgreed(planned, restoreProposal(planned.plan, hooks), { yes: options.yes })
  }
  const restored = local && (await restoreHere(local))
  const code = restored ? reportRestore(restored) : 0
  print(options.json ? JSON.stringify({ set: set.name, dump, restored: restored ?? null }) : dump)
  return code
})
