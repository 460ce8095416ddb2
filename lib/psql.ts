// psql for people: with a history, an editor and a name that others can see; and nothing is left of it when its terminal is lost.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { docker } from './compose.ts'
import { Failure } from './errors.ts'
import { account, who } from './history.ts'
import { inServer, type Server } from './postgres.ts'
import { hold } from './run.ts'

interface Session {
  /** of this session alone: the environment variable by which its processes are known in the container */
  mark: string
  readOnly: boolean
  /** a person's, on both ends: then psql gets a terminal too */
  terminal: boolean
}

// On the volume, so that it outlives the container, and beside the cluster, so that no dump has it.
const historyFile = () => `/var/lib/postgresql/.psql_history_${account().replace(/[^\w.-]/g, '_')}`

/** psql in the server's container, with these arguments. */
export const openPsql = (server: Server, { mark, readOnly, terminal }: Session, words: string[]) => {
  // By itself the server notices only at the end of a query that psql has gone.
  const settings = ['client_connection_check_interval=2s', ...(readOnly ? ['default_transaction_read_only=on'] : [])]
  const environment = [
    mark,
    `PGUSER=${server.user}`,
    `PGDATABASE=${server.database}`,
    `PGAPPNAME=psql of ${who()}`,
    `PGOPTIONS=${settings.map(setting => `-c ${setting}`).join(' ')}`,
    `PSQL_HISTORY=${historyFile()}`,
    ...(terminal ? ['TERM'] : []),
  ].flatMap(variable => ['--env', variable])
  if (!terminal) return docker('exec', '--interactive', ...environment, server.id, 'psql', ...words)
  // Docker's own keys to detach (Ctrl-P Ctrl-Q) would take Ctrl-P from psql, and leave it behind.
  const tty = ['--interactive', '--tty', '--detach-keys', 'ctrl-@,ctrl-@,ctrl-@']
  return docker('exec', ...tty, ...environment, server.id, 'bash', '-c', readFileSync(join(import.meta.dirname, 'psql.sh'), 'utf8'), 'psql', ...words)
}

// Docker leaves what it started in a container behind when its client is gone. This one waits there for the end of its standard input, which comes when this
// process ends in any way, and then hangs up on what carries the mark.
const HANG_UP = 'echo; cat; grep -lzxF -- "$0" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | xargs -r kill -HUP'

/** Has what carries the mark ended when this process ends, in any way; or when the function that it gives is called. */
export const hangUpLater = async (server: Server, mark: string) => {
  const { release, stderr } = await hold(inServer(server, 'sh', '-c', HANG_UP, mark))
  if (!release) throw new Failure(`nothing can be started in ${server.name}: ${stderr.trim()}`, { hint: 'its log may tell why: scripts/logs.ts postgres' })
  return release
}
