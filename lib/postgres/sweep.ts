// What restores that were killed left behind.
import { sweepFolders } from './dumps_folder.ts'
import { sweepHandedIn } from './hand_in.ts'
import { dropDatabase, listDatabases } from './databases.ts'
import type { Server } from './server.ts'
import { say } from '../system/progress.ts'
import { sweepThrowAway } from './throw_away.ts'

/**
 * Removes the databases, the files and the throw-away servers of interrupted restores. Only under the data lock: no
 * restore is under way then.
 */
export async function sweepRestores(project: string, server: Server) {
  const left = await listDatabases(server, 'restoring')
  for (const { name } of left) {
    await dropDatabase(server, name)
    say.detail(`removed the database ${name}, which an interrupted restore left`)
  }
  await sweepHandedIn(server)
  await sweepThrowAway(project)
  sweepFolders('restore')
}
