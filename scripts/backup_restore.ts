import { checkRestoreWords, RESTORE_OPTIONS } from '../lib/cli/restore_options.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'backup_restore.ts [options] [name|path]',
  summary:
    'Restores a dump beside the live database, then swaps it in; the former database is kept for a way back. Run ' +
    'on the server.',
  words: [0, 1] as [number, number],
  options: RESTORE_OPTIONS,
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
    ["tsx scripts/backup_restore.ts --at '2026-11-25 14:32:10'", 'the database as it was at that moment'],
    ['tsx scripts/backup_restore.ts --before-deploy', 'the database as it was before the migration of the last deploy'],
    ['tsx scripts/backup_restore.ts --tables meetings --at 14:32', 'that table of 14:32, beside the live one'],
    [
      "tsx scripts/backup_restore.ts --tables meetings --rows 'where id = 3' --at 14:32",
      'that row of 14:32, back into the live table',
    ],
    [
      'tsx scripts/backup_restore.ts --whole-server',
      'the disk of the database is gone: the last moment of the archive',
    ],
    ['tsx scripts/backup_restore.ts --undo', 'go back to the database before the last restore'],
  ] as [string, string][],
  input: 'person' as const,
}

await main(command, async (options, [name]) => {
  checkRestoreWords(options, name)
  const { loadSettings } = await import('../lib/system/settings.ts')
  const { executeAgreed } = await import('../lib/cli/agree.ts')
  const { openRestore } = await import('../lib/restore/restore.ts')
  const { targetFrom } = await import('../lib/cli/restore_target.ts')
  const { openUndo } = await import('../lib/restore/undo.ts')
  const { openFilesRestore } = await import('../lib/restore/restore_files.ts')
  const { hookLines, withoutHooks } = await import('../lib/system/hooks.ts')
  const { reportRestore, reportFiles, filesProposal, restoreProposal, undoProposal } =
    await import('../lib/cli/restore_report.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const stack = await openStack()
  const settings = options['no-hooks'] ? withoutHooks(loadSettings()) : loadSettings()
  const hooks = hookLines('restore', settings)
  const { wait, key: keyFile } = options

  const files = async () => {
    const planned = await openFilesRestore(stack, settings, { name, keyFile }, wait)
    const result = await executeAgreed(planned, filesProposal(planned.plan, hooks), options)
    if (result) reportFiles(result)
    return { result, code: 0 }
  }
  const undo = async () => {
    const planned = await openUndo(stack, settings, wait)
    return executeAgreed(planned, undoProposal(planned.plan, hooks), options)
  }
  const restore = async () => {
    const target = targetFrom(options, name)
    const request = {
      name,
      target,
      into: options.into,
      files: options.files,
      anonymise: options.anonymise,
      keyFile,
      fromDatabase: options['from-database'] ?? settings.POSTGRES_DB,
      noOwner: options['no-owner'],
      noAcl: options['no-acl'],
    }
    const planned = await openRestore(stack, settings, request, wait)
    return executeAgreed(planned, restoreProposal(planned.plan, hooks), options)
  }
  const database = async () => {
    const result = await (options.undo ? undo() : restore())
    return { result, code: result ? reportRestore(result) : 0 }
  }

  const server = async () => {
    const { restoreWholeServer } = await import('../lib/cli/whole_server_actions.ts')
    return restoreWholeServer(stack, settings, options, name)
  }
  const isPast = options.tables !== undefined || options['undo-rows'] !== undefined
  const others = () => (options['files-only'] ? files() : database())
  const whole = () => (options['whole-server'] ? server() : others())
  const past = async () => {
    const { bringPast } = await import('../lib/cli/past_actions.ts')
    return { result: await bringPast(stack, settings, options, name), code: 0 }
  }
  const { result, code } = await (isPast ? past() : whole())
  if (result && options.json) print(JSON.stringify(result))
  return code
})
