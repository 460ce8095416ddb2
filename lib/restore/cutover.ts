// The moment at which another database becomes the live one, and what follows from it.
import type { DataWork } from '../system/work_lock.ts'
import { Failure, messageOf } from '../system/errors.ts'
import type { OpenServer } from './open_server.ts'
import type { Instance } from '../docker/containers.ts'
import { restartAll, usersOf } from '../docker/restart.ts'
import { pauseForServer } from '../nginx/pause_for_server.ts'
import type { Disposable } from '../system/scope.ts'
import { shielded } from '../system/signals.ts'
import type { Stack } from '../docker/stack.ts'
import { swap } from '../postgres/swap_databases.ts'

interface Place {
  stack: Stack
  open: OpenServer
  data: DataWork
}

/** A swap that has been made; requests wait until the apps are started anew. */
export interface Swapped {
  pause: Disposable
  /** the name of the database that was replaced, if there was one */
  former: string | undefined
  began: Date
  ended: Date
}

const secondsBetween = (from: Date, to: Date) => (to.getTime() - from.getTime()) / 1000

/** Swaps a database in, when the requests on their way have ended. A signal waits until that is done. */
export function swapIn(place: Place, incoming: string, former: string | undefined) {
  const { server } = place.open
  return shielded(async (): Promise<Swapped> => {
    place.data.step('swap', former ? `${server.database} becomes ${former}` : incoming)
    // Nobody reaches a server that is alone.
    const pause = place.open.alone ? { dispose: () => {} } : await pauseForServer(place.stack)
    try {
      return { pause, former, ...(await swap(server, incoming, former)) }
    } catch (error) {
      await pause.dispose()
      throw error
    }
  })
}

/**
 * After a swap: starts the server of the stack if it was down, and the apps anew. A signal waits until that is done.
 */
export function startAnew({ stack, open, data }: Place, { pause, former, began, ended }: Swapped) {
  return shielded(async () => {
    try {
      const { database } = open.server
      if (open.alone) data.step('start', 'postgres')
      await open.handOver()
      const users = await usersOf(stack, 'postgres')
      data.step('restart', users.map(({ name }) => name).join(', ') || 'no app runs')
      await restartUsers(stack, users, database, former)
      return {
        database,
        former: former ?? null,
        swap: secondsBetween(began, ended),
        interruption: open.alone ? null : secondsBetween(began, new Date()),
      }
    } finally {
      await pause.dispose()
    }
  })
}

const restartUsers = async (stack: Stack, users: Instance[], database: string, former: string | undefined) => {
  try {
    await restartAll(stack, users)
  } catch (error) {
    throw new Failure(`${database} is replaced, but an app did not get healthy after it: ${messageOf(error)}`, {
      cause: error,
      hint: former ? 'to go back to the former database: backup_restore.ts --undo' : 'scripts/logs.ts shows more',
    })
  }
}
