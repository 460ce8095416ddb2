// Makes the ready copy of the newest backup (READY_COPY).
import { openStack } from '../docker/stack.ts'
import { admin, databaseName, databaseStamp, dropDatabase, listDatabases } from '../postgres/databases.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { withoutHooks } from '../system/hooks.ts'
import { say } from '../system/progress.ts'
import type { Settings } from '../system/settings.ts'
import { checkInterruption } from '../system/signals.ts'
import { findDump } from './find_dump.ts'
import { noteReady } from './ready.ts'
import { openRestore } from './restore.ts'

const fill = async (settings: Settings, database: string) => {
  const request = {
    name: 'latest',
    into: database,
    files: false,
    anonymise: undefined,
    keyFile: undefined,
    noOwner: false,
    noAcl: false,
  }
  const planned = await openRestore(
    await openStack(),
    withoutHooks(settings),
    { ...request, fromDatabase: settings.POSTGRES_DB },
    true,
  )
  try {
    const { lost } = await planned.execute()
    if (lost.length > 0) throw new Failure(`${lost.length} objects could not be made again`)
  } finally {
    await planned.dispose()
  }
}

/**
 * Has db/dumps/latest.dump restored beside the live database, in place of the former ready copy; without READY_COPY
 * only removes that. What fails is a warning: the backup counts.
 */
export async function renewReady(settings: Settings) {
  try {
    const { project } = await openStack()
    const server = await openSessions(await findServer(project, settings))
    for (const { name } of await listDatabases(server, 'ready')) await dropDatabase(server, name)
    if (settings.READY_COPY !== 'on') return
    const { sha256 } = findDump('latest', settings.BACKUP_DIR)
    if (sha256 === undefined) throw new Failure('nobody knows whether db/dumps/latest.dump is what it was')
    const database = databaseName(server.database, 'ready', databaseStamp(new Date()))
    await fill(settings, database)
    // Another backup may have come meanwhile, and makes its own.
    if (findDump('latest', settings.BACKUP_DIR).sha256 !== sha256)
      throw new Failure('another backup was made meanwhile')
    // Nobody changes it, or holds on to it.
    await admin(server, 'alter database :"database" allow_connections false', { database })
    noteReady({ database, sha256 })
    say.done(`${database} is ready: restoring db/dumps/latest.dump is a rename`)
  } catch (error) {
    checkInterruption()
    say.warn(`there is no ready copy: ${messageOf(error)}`)
  }
}
