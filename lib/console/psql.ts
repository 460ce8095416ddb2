// psql for people: with a history, an editor and a name that others can see; and nothing is left of it when its
// terminal is lost.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { person, who } from '../system/identity.ts'
import { ACCOUNT, type Server } from '../postgres/server.ts'
import { openIn, type Session } from '../docker/exec_session.ts'

// On the volume, so that it outlives the container, and beside the cluster, so that no dump has it.
const historyFile = () => `/var/lib/postgresql/.psql_history-${person().account.replace(/[^\w.-]/g, '_')}`

/** psql in the server's container, with these arguments. */
export function openPsql(server: Server, session: Session, readOnly: boolean, words: string[]) {
  // By itself the server notices only at the end of a query that psql has gone.
  const settings = ['client_connection_check_interval=2s', ...(readOnly ? ['default_transaction_read_only=on'] : [])]
  const environment = [
    `PGUSER=${server.user}`,
    `PGDATABASE=${server.database}`,
    `PGAPPNAME=psql of ${who()}`,
    `PGOPTIONS=${settings.map(setting => `-c ${setting}`).join(' ')}`,
    `PSQL_HISTORY=${historyFile()}`,
  ]
  const program = session.terminal
    ? ['bash', '-c', readFileSync(join(import.meta.dirname, 'psql.sh'), 'utf8'), 'psql']
    : ['psql']
  return openIn({ ...server, account: ACCOUNT }, session, environment, ...program, ...words)
}
