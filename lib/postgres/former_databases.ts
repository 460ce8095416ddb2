// What restores replaced: the former databases are kept for a way back, and removed when their time is over.
import { admin, type Database, listDatabases } from './databases.ts'
import { messageOf } from '../system/errors.ts'
import type { Server } from './server.ts'
import { say } from '../system/progress.ts'

/** The former databases, newest first. */
export function listFormer(server: Server): Promise<Database[]> {
  return listDatabases(server, 'before')
}

/**
 * Removes the former databases that were put aside more than so many days ago, but none that somebody is connected to.
 * Gives their names.
 */
export async function removeFormer(server: Server, days: number, now = new Date()) {
  const removed: string[] = []
  for (const { name, since } of await listFormer(server)) {
    if (now.getTime() - since.getTime() < days * 86_400_000) continue
    try {
      await admin(server, 'drop database :"name"', { name })
      removed.push(name)
    } catch (error) {
      say.warn(`the former database ${name} could not be removed: ${messageOf(error)}`)
    }
  }
  return removed
}
