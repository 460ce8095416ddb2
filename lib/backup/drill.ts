// A drill: a set is restored into a throw-away server, as it would be after the loss of this one, and what comes out is compared with what was saved.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DUMP } from './backup_database.ts'
import { bringBack } from './bring_back.ts'
import { compareRows } from './compare_rows.ts'
import { docker, remove } from '../compose.ts'
import type { DataWork } from './data_lock.ts'
import { handIn } from './hand_in.ts'
import { messageOf } from '../errors.ts'
import { appendLine } from '../files.ts'
import { isRecord, isText, isTime } from '../forms.ts'
import { inServer, openSessions, psql, sql, type Server } from '../postgres.ts'
import { attempt, capture, SERVER_ERROR } from '../run.ts'
import { say } from '../say.ts'
import { shielded } from '../signals.ts'
import { readLines } from '../state_files.ts'
import { makeRoles } from './roles.ts'
import { rolesFile, type BackupSet } from './sets.ts'
import { countRows } from './snapshot.ts'

const LABEL = 'avril.drill'
// Not a role of any site: the roles of the set are made beside it.
const USER = 'avril_drill'
const DATABASE = 'drill'

export interface Drill {
  /** ISO 8601, UTC */
  time: string
  set: string
  result: 'restored' | 'failed'
  /** from an empty server to the database with its statistics, in seconds */
  seconds?: number
  /** what could not be made again, if anything; none of it is data */
  lost?: string[]
  error?: string
}

// What failed, and the server's own word on why.
const reasonOf = (message: string) => {
  const [what = '', ...lines] = message.split('\n')
  return [what, lines.find(line => SERVER_ERROR.test(line))?.trim()].filter(Boolean).join(': ').slice(0, 300)
}

const FILE = 'drills.jsonl'

const note = (drill: Omit<Drill, 'time'>) => appendLine(FILE, { time: new Date().toISOString(), ...drill })

const isDrill = (it: unknown): it is Drill =>
  isRecord(it) && isTime(it.time) && isText(it.set) && isText(it.result) && (it.lost === undefined || (Array.isArray(it.lost) && it.lost.every(isText)))

/** How the last drill ended; undefined when there was none. */
export const lastDrill = () => readLines(FILE, isDrill).at(-1)

const sweep = async (project: string) => {
  const ids = (await capture(docker('ps', '--all', '--quiet', '--filter', `label=${LABEL}=${project}`))).split('\n').filter(Boolean)
  if (ids.length > 0) await capture(remove(ids))
}

/** Starts a server of an image with nothing in it, without a network. */
const startServer = async (project: string, image: string): Promise<Server> => {
  const settings = ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_PASSWORD'].flatMap(name => ['--env', name])
  // What an image does at its first start (it makes PostGIS's extensions) is not wanted: the dump brings them.
  const bare = ['--network', 'none', '--shm-size', '256m', '--tmpfs', '/docker-entrypoint-initdb.d']
  const words = ['--detach', '--rm', ...bare, '--label', `${LABEL}=${project}`, ...settings, image]
  // The password stands in the environment alone; nobody ever uses it.
  const env = { POSTGRES_USER: USER, POSTGRES_DB: 'postgres', POSTGRES_PASSWORD: randomBytes(24).toString('hex') }
  // A client that is told to end while it makes the container may leave it behind.
  const id = await shielded(() => capture(docker('run', ...words), { env, what: 'starting a throw-away server' }))
  const server = { id, name: 'a throw-away server', image, user: USER, app: USER, database: DATABASE }
  // While it is being set up a server answers on the socket alone.
  const ready = 'for n in $(seq 600); do psql -h 127.0.0.1 -U "$POSTGRES_USER" -d postgres -w -qAtc "select 1" >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1'
  await capture(inServer(server, 'bash', '-c', ready), { what: 'the throw-away server', hint: 'it did not get ready within a minute: is the machine out of memory or disk?' })
  return server
}

const restore = async (server: Server, set: BackupSet, folder: string) => {
  for (const refused of await makeRoles(server, join(folder, rolesFile(set)))) say.warn(refused)
  const opened = await openSessions(server)
  await sql(opened, 'postgres', `create database :"name" template template0`, { name: DATABASE })
  const { inside } = await handIn(server, join(folder, DUMP))
  const lost = await bringBack(opened, DATABASE, inside, { searchPath: set.database.searchPath })
  // What bears an expression that cannot be computed has no statistics in the live database either.
  await attempt(psql(opened, DATABASE, '--command=analyze'))
  return lost
}

const compare = async (server: Server, { name, database }: BackupSet) =>
  compareRows(database.tables, await countRows(server, DATABASE), { message: () => `what was restored is not what ${name} should hold`, found: 'restored', expected: 'saved' })

/** Tries a set out on a server of the given image; its dump lies in the clear in `folder`. Gives the seconds to recover, and what could not be made again. Throws a Failure when the set does not bring back what it should. */
export const drill = async (project: string, image: string, set: BackupSet, folder: string, work: DataWork) => {
  await sweep(project)
  const started = performance.now()
  const elapsed = () => Number(((performance.now() - started) / 1000).toFixed(1))
  try {
    work.step('server', `a throw-away server of ${image}`)
    const server = await startServer(project, image)
    work.step('restore', set.name)
    const lost = await restore(server, set, folder)
    const seconds = elapsed()
    work.step('compare', 'the rows of each table with those of the manifest')
    await compare(server, set)
    note({ set: set.name, result: 'restored', seconds, ...(lost.length > 0 ? { lost: lost.map(({ object }) => object) } : {}) })
    return { seconds, lost }
  } catch (error) {
    note({ set: set.name, result: 'failed', error: reasonOf(messageOf(error)) })
    throw error
  } finally {
    await shielded(() => sweep(project))
  }
}
