// A moment as a dump: recovered in a throw-away server, and read out of it.
import { join } from 'node:path'
import { readFacts, countRows } from '../postgres/snapshot.ts'
import { databaseExists } from '../postgres/databases.ts'
import { openDumpFolder } from '../postgres/dumps_folder.ts'
import { inSession, login, type Server } from '../postgres/server.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { writeOutput } from '../system/large_files.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import type { Source } from './find_dump.ts'
import { targetText } from './moments.ts'
import type { RecoveryTarget } from '../postgres/recovered.ts'
import { type Means, recoverMoment } from './recover_moment.ts'
import type { RestoreWork } from './work.ts'

/** Recovers a moment for a restore, and checks that the site's database was there. */
export async function openMoment({ stack, open, server, data }: RestoreWork, target: RecoveryTarget, means: Means) {
  data.step('recover', `${targetText(target)}, in a throw-away server without a network`)
  const origin = { project: stack.project, image: server.image }
  const opened = await recoverMoment(origin, open.alone ? undefined : server, target, means)
  if (await databaseExists(opened.server, opened.server.database)) return opened
  await opened.dispose()
  throw new Failure(`there was no database ${server.database} at ${targetText(target)}`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; was another moment meant?',
  })
}

/** The dump lies in a folder that is removed when it is disposed of; the throw-away server has ended by then. */
export async function dumpMoment(
  work: RestoreWork,
  target: RecoveryTarget,
  means: Means,
): Promise<Source & Disposable> {
  const scope = new Scope()
  const folder = openDumpFolder('restoring')
  try {
    const { server, moment } = scope.use(await openMoment(work, target, means))
    work.data.step('dump', targetText(target))
    const { encoding, searchPath, bytes } = await readFacts(server)
    const path = join(folder.path, 'moment.dump')
    await writeOutput(dumpCommand(server, encoding), path, { what: 'pg_dump', estimate: bytes / 5 })
    const tables = await countRows(server, server.database)
    const source = { path, manifest: undefined, known: undefined, sha256: undefined }
    return { ...source, moment: { ...moment, tables, searchPath }, dispose: folder.dispose }
  } catch (error) {
    await folder.dispose()
    throw error
  } finally {
    await scope.dispose()
  }
}

const dumpCommand = (server: Server, encoding: string) => {
  const words = [`--encoding=${encoding}`, '--format=custom', '--compress=zstd:1', '--create', '--no-password']
  return inSession(server, [], 'pg_dump', ...words, ...login(server, server.database))
}
