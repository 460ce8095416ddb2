// What restores that were killed left behind.
import { sweepFolders } from '../backup/dumps_folder.ts'
import { sweepHandedIn } from '../backup/hand_in.ts'
import { sweepThrowAway } from '../backup/throw_away.ts'
import { dropDatabase, listDatabases } from './databases.ts'
import type { Server } from '../postgres.ts'
import { say } from '../say.ts'

/**
 * Removes the databases, the files and the throw-away servers of interrupted restores. Only under the data lock: no
 * restore is under way then.
 */
export const sweepRestores = async (project: string, server: Server) => {
  const left = await listDatabases(server, 'restoring')
  for (const { name } of left) {
    await dropDatabase(server, name)
    say.detail(`removed the database ${name}, which an interrupted restore left`)
  }
  await sweepHandedIn(server)
  await sweepThrowAway(project)
  sweepFolders('restore')
}
