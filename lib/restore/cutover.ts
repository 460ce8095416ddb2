// The moment at which another database becomes the live one, and what follows from it.
import type { DataWork } from '../system/work_lock.ts'
import { Failure, messageOf } from '../system/errors.ts'
import type { OpenServer } from './open_server.ts'
import { restartAll, usersOf } from '../docker/restart.ts'
import { shielded } from '../system/signals.ts'
import type { Stack } from '../docker/stack.ts'
import { swap } from '../postgres/swap_databases.ts'

interface Place {
  stack: Stack
  open: OpenServer
  data: DataWork
}

/** A swap that has been made. */
export interface Swapped {
  /** the name of the database that was replaced, if there was one */
  former: string | undefined
  began: Date
  ended: Date
}

const secondsBetween = (from: Date, to: Date) => (to.getTime() - from.getTime()) / 1000

/** Swaps a database in. A signal waits until that is done. */
export function swapIn({ open: { server }, data }: Place, incoming: string, former: string | undefined) {
  return shielded(async (): Promise<Swapped> => {
    data.step('swap', former ? `${server.database} becomes ${former}` : incoming)
    return { former, ...(await swap(server, incoming, former ?? '')) }
  })
}

/**
 * After a swap: starts the server of the stack if it was down, and the apps anew. A signal waits until that is done.
 */
export function startAnew({ stack, open, data }: Place, { former, began, ended }: Swapped) {
  return shielded(async () => {
    const { database } = open.server
    if (open.alone) data.step('start', 'postgres')
    await open.handOver()
    const users = await usersOf(stack, 'postgres')
    data.step('restart', users.map(({ name }) => name).join(', ') || 'no app runs')
    try {
      await restartAll(stack, users)
    } catch (error) {
      throw new Failure(`${database} is replaced, but an app did not get healthy after it: ${messageOf(error)}`, {
        cause: error,
        hint: former ? 'to go back to the former database: backup_restore.ts --undo' : 'scripts/logs.ts shows more',
      })
    }
    return {
      database,
      former: former ?? null,
      swap: secondsBetween(began, ended),
      interruption: open.alone ? null : secondsBetween(began, new Date()),
    }
  })
}
