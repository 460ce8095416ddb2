// The database server of the stack: the programs that are run in its container, always without a terminal, so that data arrives as it was sent.
import { availableParallelism } from 'node:os'
import { docker } from './compose.ts'
import type { Settings } from './config.ts'
import { EXIT, Failure } from './errors.ts'
import { listInstances } from './instances.ts'
import { capture } from './run.ts'

/** A PostgreSQL server in a container, and the database of the site in it. */
export interface Server {
  /** the container */
  id: string
  name: string
  image: string
  user: string
  database: string
}

/** How many processes restore or analyze at once. */
export const JOBS = Math.min(4, availableParallelism())

/** Whom programs in the server's container run as: never root, so that what a container's own user has put there gets no more rights than he has. */
export const ACCOUNT = 'postgres'

/** A command in the server's container; its standard input is handed on. The container trusts who connects from inside: no password is needed. */
export const inServer = ({ id }: Pick<Server, 'id'>, ...command: string[]) => docker('exec', '--interactive', '--user', ACCOUNT, id, ...command)

/** The stack's running server. Throws a Failure (69) when there is none. */
export const findServer = async (project: string, settings: Settings): Promise<Server> => {
  const { POSTGRES_USER: user = '', POSTGRES_DB: database = '' } = settings
  const instance = (await listInstances(project, 'postgres')).find(({ running, oneOff }) => running && !oneOff)
  if (instance) return { id: instance.id, name: instance.name, image: instance.image, user, database }
  throw new Failure('postgres is not running', { exitCode: EXIT.unreachable, hint: 'start it (docker compose up -d postgres), or look at its log: scripts/logs.ts postgres' })
}

/** psql for programs: no settings of a person, no decoration, an end at the first error. */
export const psql = (server: Server, database: string, ...words: string[]) =>
  inServer(server, 'psql', '--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--set=ON_ERROR_STOP=1', `--username=${server.user}`, `--dbname=${database}`, ...words)

/**
 * Runs SQL and gives what it prints, without the last newline. A variable is used in the SQL as :"name" (an identifier) or :'name' (a text): psql
 * quotes it. Throws a Failure with the server's words.
 */
export const sql = (server: Server, database: string, text: string, variables: Record<string, string> = {}) => {
  const sets = Object.entries(variables).map(([name, value]) => `--set=${name}=${value}`)
  return capture(psql(server, database, ...sets), { input: text, what: 'the query' })
}

/** The rows of a query, each as an object: one JSON document a line (select json_build_object(…) or row_to_json(…)). */
export const rows = async <Row>(server: Server, database: string, text: string, variables?: Record<string, string>): Promise<Row[]> =>
  (await sql(server, database, text, variables)).split('\n').filter(Boolean).map(line => JSON.parse(line) as Row)
