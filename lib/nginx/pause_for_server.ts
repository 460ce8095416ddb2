// Requests wait in nginx while there is no database.
import { usersOf } from '../docker/restart.ts'
import type { Stack } from '../docker/stack.ts'
import { findNginx } from './container.ts'
import { pauseRequests } from './pause.ts'
import { messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import type { Disposable } from '../system/scope.ts'

/**
 * Has the requests of the apps that use the database wait in nginx; where nobody listens, or nginx cannot do it, they
 * fail meanwhile.
 */
export async function pauseForServer(stack: Stack): Promise<Disposable> {
  const none = { dispose: () => {} }
  const nginx = await findNginx(stack.project)
  const services = [...new Set((await usersOf(stack, 'postgres')).map(({ service }) => service))]
  if (!nginx || services.length === 0) return none
  return pauseRequests(nginx, services).catch((error: unknown) => {
    say.warn(`requests do not wait, and some will fail: ${messageOf(error)}`)
    return none
  })
}
