// What every restore takes before it begins: the locks, and a server that answers.
import { databaseStamp } from '../postgres/databases.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import type { Settings } from '../system/settings.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import { openServer, type OpenServer } from './open_server.ts'
import type { Server } from '../postgres/server.ts'
import type { Stack } from '../docker/stack.ts'
import { sweepRestores } from '../postgres/sweep.ts'

/** What a restore works with, until it is disposed of. */
export interface RestoreWork extends Disposable {
  stack: Stack
  open: OpenServer
  server: Server
  data: DataWork
  stamp: string
}

/** Takes both locks, since neither a backup nor a deploy (it may migrate) is to run meanwhile, and opens the server. */
export async function beginWork(stack: Stack, settings: Settings, wait: boolean): Promise<RestoreWork> {
  const scope = new Scope()
  try {
    const data = scope.use(await takeDataLock('restoring', wait))
    scope.use(await takeDeployLock(wait))
    data.step('open')
    const open = scope.use(await openServer(stack, settings))
    await sweepRestores(stack.project, open.server)
    const dispose = () => scope.dispose()
    return { stack, open, server: open.server, data, stamp: databaseStamp(new Date()), dispose }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
