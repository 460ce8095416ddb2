// A place in the WAL to come back to, which each deploy leaves before its migration.
import { findServer, rows } from '../postgres/server.ts'
import { maintenance } from '../postgres/databases.ts'
import { messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { loadSettings } from '../system/settings.ts'
import { checkInterruption } from '../system/signals.ts'
import type { RestorePoint } from './journal.ts'
import type { Rollout } from './rollout.ts'

const MARK = `
set statement_timeout = '5s';
select json_build_object('name', :'name', 'lsn', pg_create_restore_point(:'name'),
  'xid', pg_snapshot_xmin(pg_current_snapshot())::text, 'time',
    to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
`

/** Leaves one, where the WAL is kept, and notes it in the journal of each app. No deploy fails for it. */
export async function leaveRestorePoint(rollouts: Rollout[]) {
  const settings = loadSettings()
  const [first] = rollouts
  if (settings.WAL !== 'on' || !first) return
  try {
    const server = await findServer(first.stack.project, settings)
    // Of this deploy alone, whatever is deployed again.
    const name = `deploy ${first.progress.journal.next?.rollout ?? first.progress.journal.since}`.slice(0, 63)
    const [restorePoint] = await rows<RestorePoint>(server, maintenance(server), MARK, { name })
    if (restorePoint) for (const { progress } of rollouts) progress.note({ restorePoint })
  } catch (error) {
    checkInterruption()
    say.warn(`no restore point was left, so --before-deploy will not know of this deploy: ${messageOf(error)}`)
  }
}
