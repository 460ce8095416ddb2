// A drill: a set is restored into a throw-away server, as it would be after the loss of this one, and what comes out is
// compared with what was saved.
import { join } from 'node:path'
import { DUMP, rolesFile } from './manifest.ts'
import { bringBack } from '../postgres/bring_back.ts'
import { compareRows } from '../postgres/compare_rows.ts'
import type { DataWork } from '../system/work_lock.ts'
import { handIn } from '../postgres/hand_in.ts'
import { messageOf } from '../system/errors.ts'
import { appendLine, readLines } from '../system/state_folder.ts'
import * as v from 'valibot'
import { time, wholeNumber } from '../system/schema.ts'
import { openSessions, type Server, sql } from '../postgres/server.ts'
import { SERVER_ERROR } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { makeRoles } from '../postgres/saved_roles.ts'
import { Scope } from '../system/scope.ts'
import type { BackupSet } from './sets.ts'
import { APP_DRILL, DATABASE_SERVICE, tryApps } from './drill_apps.ts'
import type { Stack } from '../docker/stack.ts'
import type { StackConfig } from '../docker/stack_config.ts'
import { countRows } from '../postgres/snapshot.ts'
import { gatherStatistics } from '../postgres/statistics.ts'
import { DATABASE, openThrowAway } from '../postgres/throw_away.ts'

const DRILL = v.object({
  time,
  set: v.string(),
  result: v.picklist(['restored', 'failed']),
  /** from an empty server to the database with its statistics, in seconds */
  seconds: v.exactOptional(v.number()),
  /** what could not be made again, if anything; none of it is data */
  lost: v.exactOptional(v.array(v.string())),
  error: v.exactOptional(v.string()),
  /** spent in each step */
  steps: v.exactOptional(v.record(v.string(), v.number())),
  /** of the throw-away server */
  image: v.exactOptional(v.string()),
  /** that were compared */
  tables: v.exactOptional(wholeNumber),
  rows: v.exactOptional(wholeNumber),
  /** the apps that use the database; missing before there was this */
  apps: v.exactOptional(v.array(APP_DRILL)),
})

export type Drill = v.InferOutput<typeof DRILL>

// What failed, and the server's own word on why.
const reasonOf = (message: string) => {
  const [what = '', ...lines] = message.split('\n')
  return [what, lines.find(line => SERVER_ERROR.test(line))?.trim()].filter(Boolean).join(': ').slice(0, 300)
}

const FILE = 'drills.jsonl'

const note = (drill: Omit<Drill, 'time'>) => appendLine(FILE, { time: new Date().toISOString(), ...drill })

/** All drills, oldest first. */
export function readDrills() {
  return readLines(FILE, DRILL)
}

/** How the last drill ended; undefined when there was none. */
export function lastDrill() {
  return readDrills().at(-1)
}

/**
 * Restores a set, whose files lie in the clear in `folder`, into a new database of an empty server, for the role `app`.
 * Gives what could not be made again.
 */
export async function restoreSet(server: Server, set: BackupSet, folder: string, database: string, app: string) {
  for (const refused of await makeRoles(server, join(folder, rolesFile(set)))) say.warn(refused)
  const opened = await openSessions({ ...server, app })
  await sql(opened, 'postgres', `create database :"name" template template0`, { name: database })
  const { inside } = await handIn(server, join(folder, DUMP))
  const lost = await bringBack(opened, database, inside, { searchPath: set.database.searchPath, give: true })
  await gatherStatistics(opened, database)
  return lost
}

const compare = async (server: Server, { name, database }: BackupSet) =>
  compareRows(database.tables, await countRows(server, DATABASE), {
    message: () => `what was restored is not what ${name} should hold`,
    found: 'restored',
    expected: 'saved',
  })

interface DrillRequest {
  stack: Stack
  /** with the releases that are live */
  config: StackConfig
  /** of the throw-away server */
  image: string
  logins: Pick<Server, 'user' | 'app' | 'database'>
  set: BackupSet
  /** in which its dump lies in the clear */
  folder: string
  work: DataWork
}

/**
 * Tries a set out on a server of the given image, and starts the apps on it. Gives the seconds to recover, what could
 * not be made again, and what the apps answered. Throws a Failure when the set does not bring back what it should.
 */
export async function drill({ stack, config, image, logins, set, folder, work }: DrillRequest) {
  const started = performance.now()
  const elapsed = () => Number(((performance.now() - started) / 1000).toFixed(1))
  const scope = new Scope()
  const steps = () => {
    const { begin: _, ...spent } = work.seconds()
    return spent
  }
  try {
    work.step('server', `a throw-away server of ${image}`)
    const { server } = scope.use(await openThrowAway(config.name, image, [], [DATABASE_SERVICE]))
    work.step('restore', set.name)
    const lost = await restoreSet(server, set, folder, DATABASE, logins.app)
    const seconds = elapsed()
    work.step('compare', 'the rows of each table with those of the manifest')
    await compare(server, set)
    const { searchPath, tables } = set.database
    const apps = await tryApps({ stack, config, server, logins, searchPath, work, set: set.name })
    const compared = Object.values(tables)
    note({
      set: set.name,
      result: 'restored',
      seconds,
      ...(lost.length > 0 ? { lost: lost.map(({ object }) => object) } : {}),
      steps: steps(),
      image,
      tables: compared.length,
      rows: compared.reduce((sum, count) => sum + count, 0),
      apps,
    })
    return { seconds, lost, apps }
  } catch (error) {
    note({ set: set.name, result: 'failed', error: reasonOf(messageOf(error)), steps: steps(), image })
    throw error
  } finally {
    await scope.dispose()
  }
}
