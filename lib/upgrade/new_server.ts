// The server of the new version while it is filled: on its own volume, in the network of the old one, where that trusts
// whoever connects by 127.0.0.1, as its health check does. It takes no connection itself but those of `docker exec`.
// It outlives these scripts: what it has subscribed to would pile up in the old server.
import { docker, removeContainers } from '../docker/commands.ts'
import { idsWith } from '../docker/containers.ts'
import { ACCOUNT, inServer, openSessions, type Server, sessionsOf } from '../postgres/server.ts'
import { Failure } from '../system/errors.ts'
import { attempt, capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import { PLACE } from '../postgres/server_image.ts'

const LABEL = 'avril.upgrade'

/** What it is given, and where its data are until they are complete. */
export interface NewServer {
  image: string
  volume: string
  /** where its data will be */
  pgdata: string
}

/** Where the data are until they are complete: postgres/start.sh serves none of that name. */
export function unfinished({ pgdata }: Pick<NewServer, 'pgdata'>) {
  return `${pgdata}.upgrading`
}

// Little is written of what can be begun anew; what has been committed has to survive a crash of it all the same.
const OPTIONS = [
  'listen_addresses=',
  'synchronous_commit=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'max_wal_size=4GB',
  'maintenance_work_mem=256MB',
  'wal_receiver_status_interval=1s',
  'log_min_error_statement=panic',
]

/** Removes the one of an upgrade that has ended. */
export async function removeNewServer(project: string) {
  const ids = await idsWith([`${LABEL}=${project}`])
  if (ids.length > 0) await shielded(() => capture(removeContainers(ids)))
}

// While the image makes a cluster it serves it for a moment, and stops it again; the server that stays is process 1.
const READY =
  'for n in $(seq 1200); do [ "$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null)" = 1 ] && psql -qAtXc "select 1" ' +
  '-d postgres >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1'

/**
 * Starts it, with an empty cluster or what it has of one. `beside` is the container of the old server. Only under the
 * data lock.
 */
export async function startNewServer(
  { COMPOSE_PROJECT_NAME: project, ...settings }: Settings,
  next: NewServer,
  beside: Server,
): Promise<Server> {
  await removeNewServer(project)
  const own = ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_PASSWORD'].flatMap(name => ['--env', name])
  const confined = ['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--pids-limit', '1024']
  // What an image does at its first start (it makes PostGIS's extensions) is not wanted: the dump brings them.
  const bare = ['--tmpfs', '/docker-entrypoint-initdb.d', '--network', `container:${beside.id}`, '--shm-size', '256m']
  const words = ['--detach', '--user', ACCOUNT, '--label', `${LABEL}=${project}`, ...own, ...confined, ...bare]
  const place = ['--volume', `${next.volume}:${PLACE}`, '--env', `PGDATA=${unfinished(next)}`]
  const env = {
    POSTGRES_USER: settings.POSTGRES_USER,
    POSTGRES_DB: 'postgres',
    POSTGRES_PASSWORD: settings.POSTGRES_PASSWORD,
  }
  const id = await shielded(() =>
    capture(docker('run', ...words, ...place, next.image, 'postgres', ...OPTIONS.flatMap(option => ['-c', option])), {
      env,
      what: 'starting the new server',
    }),
  )
  const { user, app, database } = beside
  const server = { id, name: 'the new server', image: next.image, user, app, database }
  const ready = await attempt(inServer(server, 'env', `PGUSER=${user}`, 'bash', '-c', READY))
  if (ready.code === 0) return openSessions(server)
  const { stdout, stderr } = await attempt(docker('logs', '--tail', '8', id))
  throw new Failure(`the new server does not start:\n  ${`${stdout}${stderr}`.trim().split('\n').join('\n  ')}`, {
    hint: 'the old one goes on',
  })
}

/** The words by which a program in the new server's container reaches the old server, to read there. */
export function fromThere(old: Server, ...command: string[]) {
  const { options, reading } = sessionsOf(old)
  return ['env', 'PGHOST=127.0.0.1', 'PGPORT=5432', `PGUSER=${old.user}`, `PGOPTIONS=${options} ${reading}`, ...command]
}
