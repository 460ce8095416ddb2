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
import { time } from '../system/schema.ts'
import { openSessions, psql, type Server, sql } from '../postgres/server.ts'
import { attempt, SERVER_ERROR } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { makeRoles } from '../postgres/saved_roles.ts'
import { Scope } from '../system/scope.ts'
import type { BackupSet } from './sets.ts'
import { countRows } from '../postgres/snapshot.ts'
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
})

export type Drill = v.InferOutput<typeof DRILL>

// What failed, and the server's own word on why.
const reasonOf = (message: string) => {
  const [what = '', ...lines] = message.split('\n')
  return [what, lines.find(line => SERVER_ERROR.test(line))?.trim()].filter(Boolean).join(': ').slice(0, 300)
}

const FILE = 'drills.jsonl'

const note = (drill: Omit<Drill, 'time'>) => appendLine(FILE, { time: new Date().toISOString(), ...drill })

/** How the last drill ended; undefined when there was none. */
export function lastDrill() {
  return readLines(FILE, DRILL).at(-1)
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
  compareRows(database.tables, await countRows(server, DATABASE), {
    message: () => `what was restored is not what ${name} should hold`,
    found: 'restored',
    expected: 'saved',
  })

/**
 * Tries a set out on a server of the given image; its dump lies in the clear in `folder`. Gives the seconds to recover,
 * and what could not be made again. Throws a Failure when the set does not bring back what it should.
 */
export async function drill(project: string, image: string, set: BackupSet, folder: string, work: DataWork) {
  const started = performance.now()
  const elapsed = () => Number(((performance.now() - started) / 1000).toFixed(1))
  const scope = new Scope()
  try {
    work.step('server', `a throw-away server of ${image}`)
    const { server } = scope.use(await openThrowAway(project, image, []))
    work.step('restore', set.name)
    const lost = await restore(server, set, folder)
    const seconds = elapsed()
    work.step('compare', 'the rows of each table with those of the manifest')
    await compare(server, set)
    note({
      set: set.name,
      result: 'restored',
      seconds,
      ...(lost.length > 0 ? { lost: lost.map(({ object }) => object) } : {}),
    })
    return { seconds, lost }
  } catch (error) {
    note({ set: set.name, result: 'failed', error: reasonOf(messageOf(error)) })
    throw error
  } finally {
    await scope.dispose()
  }
}
