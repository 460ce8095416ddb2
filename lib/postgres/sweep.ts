// What restores that were killed left behind.
import { sweepFolders } from './dumps_folder.ts'
import { sweepHandedIn } from './hand_in.ts'
import { dropDatabase, listDatabases } from './databases.ts'
import { together } from '../system/concurrency.ts'
import type { Server } from './server.ts'
import { say } from '../system/progress.ts'
import { sweepThrowAway } from './throw_away.ts'

const sweepDatabases = async (server: Server) => {
  for (const { name } of await listDatabases(server, 'restoring')) {
    await dropDatabase(server, name)
    say.detail(`removed the database ${name}, which an interrupted restore left`)
  }
}

/**
 * Removes the databases, the files and the throw-away servers of interrupted restores. Only under the data lock: no
 * restore is under way then.
 */
export async function sweepRestores(project: string, server: Server) {
  await together(() => [sweepDatabases(server), sweepHandedIn(server), sweepThrowAway(project)])
  sweepFolders('restore')
}
