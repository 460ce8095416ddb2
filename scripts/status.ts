import { setTimeout as pause } from 'node:timers/promises'
import { usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'
import { interruption } from '../lib/system/signals.ts'

const command = {
  usage: 'status.ts [options]',
  summary:
    'Shows every service, its health, the live releases, the last deploys and backups, and how long the ' +
    'certificate lasts. Ends with 1 when anything is not healthy, maintenance has not ended when it was to, a ' +
    'public site has no backup, the newest is older than 26 hours or not off the site, or the last drill failed, ' +
    'what is written to the database is not in the archive within two minutes (WAL=on) or its base is older than ' +
    '26 hours, an upgrade of PostgreSQL or a recovery was left unfinished, or the certificate has expired or was ' +
    'not renewed.',
  words: [0, 0] as [number, number],
  options: {
    json: { help: 'print it as one JSON document' },
    watch: { help: 'show it again every 2 seconds, until Ctrl-C' },
  },
  examples: [
    ['tsx scripts/status.ts', 'look once'],
    ['tsx scripts/status.ts --watch', 'keep looking, for instance during a deploy'],
  ] as [string, string][],
}

await main(command, async options => {
  if (options.json && options.watch) throw usage('--json prints one document: it cannot be used with --watch')
  const { openStack } = await import('../lib/docker/stack.ts')
  const { backupText, certificateText, recoveryText, stateText, upgradeText } =
    await import('../lib/cli/status_report.ts')
  const { readStackStatus: readState } = await import('../lib/status/stack_status.ts')
  const { loadSettings } = await import('../lib/system/settings.ts')
  const { readBackups } = await import('../lib/status/backup_status.ts')
  const { readArchiveStatus } = await import('../lib/status/archive_status.ts')
  const { archiveText } = await import('../lib/cli/archive_report.ts')
  const { readCertificateState } = await import('../lib/status/certificate_status.ts')
  const { readUpgrade } = await import('../lib/status/upgrade_status.ts')
  const { unfinishedRecovery } = await import('../lib/status/recovery_note.ts')
  const { hasOverrun } = await import('../lib/nginx/maintenance.ts')
  const { readVersion } = await import('../lib/status/version.ts')
  const stack = await openStack()
  const settings = loadSettings()
  const version = await readVersion()

  for (;;) {
    const backups = readBackups(settings)
    const archive = readArchiveStatus(settings)
    const state = await readState(stack, 5)
    const certificate = readCertificateState(settings)
    const upgrade = readUpgrade()
    const recovery = unfinishedRecovery()
    const isLate = state.maintenance !== null && hasOverrun(state.maintenance)
    const troubles = [backups, archive, certificate, upgrade, recovery].filter(it => it?.trouble)
    const good = state.healthy && troubles.length === 0 && !isLate
    if (options.watch && process.stdout.isTTY) process.stdout.write('\u001b[2J\u001b[H')
    print(
      options.json
        ? JSON.stringify({
            ...version,
            ...state,
            backups,
            archive: archive ?? null,
            certificate,
            upgrade: upgrade ?? null,
            recovery: recovery ?? null,
          })
        : [
            stateText(state, version),
            '',
            certificateText(certificate),
            backupText(backups),
            archive && archiveText(archive),
            upgradeText(upgrade),
            recovery && recoveryText(recovery),
          ]
            .filter(it => it !== undefined)
            .join('\n'),
    )
    if (!options.watch) return good ? 0 : 1
    await pause(2000, undefined, { signal: interruption }).catch(() => {})
    if (interruption.aborted) return 130
  }
})
