// A server with nothing in it and without a network, for as long as it is needed: what a dump does there, it does to
// nobody.
import { CONFINED } from './confined.ts'
import { inServer, type Server } from './server.ts'
import { docker, removeContainers } from '../docker/commands.ts'
import { idsWith } from '../docker/containers.ts'
import { SHORT_LOG } from '../docker/lone_service.ts'
import { randomBytes } from 'node:crypto'
import { capture } from '../system/run.ts'
import type { Disposable } from '../system/scope.ts'
import { shielded } from '../system/signals.ts'

/** All that is started for it, or beside it, carries this label with the name of the site's project. */
export const DRILL_MARK = 'avril.drill'
// Not a role of any site: the roles of the set are made beside it.
const USER = 'avril_drill'
/** The database that is to be made in it. */
export const DATABASE = 'drill'

/** Removes what one that was killed has left. Only under the data lock. */
export async function sweepThrowAway(project: string) {
  const ids = await idsWith([`${DRILL_MARK}=${project}`])
  if (ids.length > 0) await capture(removeContainers(ids))
}

const start = async (project: string, image: string, options: string[], names: string[]): Promise<Server> => {
  const settings = ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_PASSWORD'].flatMap(name => ['--env', name])
  // Its log is read, whatever the engine does with those of others, and does not fill the disk.
  const words = [
    '--detach',
    '--rm',
    ...CONFINED,
    '--log-driver',
    'json-file',
    ...Object.entries(SHORT_LOG).flatMap(([name, value]) => ['--log-opt', `${name}=${value}`]),
    '--label',
    `${DRILL_MARK}=${project}`,
    ...names.flatMap(name => ['--add-host', `${name}:127.0.0.1`]),
    ...settings,
    image,
  ]
  // The password stands in the environment alone; nobody ever uses it.
  const env = { POSTGRES_USER: USER, POSTGRES_DB: 'postgres', POSTGRES_PASSWORD: randomBytes(24).toString('hex') }
  // A client that is told to end while it makes the container may leave it behind.
  const id = await shielded(() =>
    capture(docker('run', ...words, 'postgres', ...options.flatMap(option => ['-c', option])), {
      env,
      what: 'starting a throw-away server',
    }),
  )
  const server = { id, name: 'a throw-away server', image, user: USER, app: USER, database: DATABASE }
  // While it is being set up a server answers on the socket alone.
  const ready =
    'for n in $(seq 600); do psql -h 127.0.0.1 -U "$POSTGRES_USER" -d postgres -w -qAtc "select 1" >/dev/null ' +
    '2>&1 && exit 0; sleep 0.1; done; exit 1'
  await capture(inServer(server, 'bash', '-c', ready), {
    what: 'the throw-away server',
    hint: 'it did not get ready within a minute: is the machine out of memory or disk?',
  })
  return server
}

/** A server that is removed when it is disposed of. */
export interface ThrowAway extends Disposable {
  server: Server
}

/**
 * Starts a server of an image, set so by the options of PostgreSQL; who shares its network finds it by these names.
 * Only under the data lock.
 */
export async function openThrowAway(
  project: string,
  image: string,
  options: string[],
  names: string[] = [],
): Promise<ThrowAway> {
  await sweepThrowAway(project)
  const dispose = () => shielded(() => sweepThrowAway(project))
  try {
    return { server: await start(project, image, options, names), dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}
