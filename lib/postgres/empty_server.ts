// An empty server in a container that lives as long as this process, without a network: a set is looked into there.
import { type Disposable, Scope } from '../system/scope.ts'
import { capture } from '../system/run.ts'
import { holdContainer } from './held_container.ts'
import { inServer, type Server } from './server.ts'

// Not a role of any site: those of the set are made beside it.
const USER = 'avril_look'

// What it holds is not kept.
const START = `
set -eu
data=/var/lib/postgresql/empty
initdb --pgdata="$data" --username="$POSTGRES_USER" --auth=trust --encoding=UTF8 --no-sync >/dev/null
settings='-c listen_addresses= -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0'
pg_ctl --pgdata="$data" --log="$data/log" --wait --options="$settings -c lc_messages=C" start >/dev/null </dev/null || {
  cat "$data/log" >&2
  exit 1
}
`

/** Removed when it is disposed of. */
export interface EmptyServer extends Disposable {
  server: Server
}

/** Starts one. `database` is to be made in it. Throws a Failure. */
export async function openEmpty(project: string, image: string, database: string): Promise<EmptyServer> {
  const scope = new Scope()
  try {
    const { id } = scope.use(await holdContainer(project, { image, user: USER }))
    await capture(inServer({ id }, 'sh', '-c', START), { what: 'starting a throw-away server' })
    const server = { id, name: 'a throw-away server', image, user: USER, app: USER, database }
    return { server, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}
