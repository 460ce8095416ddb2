// A drill of the archive: the database as it was at a moment of the last days is recovered into a throw-away server; a
// count that was noted in that moment is compared, and every table and index is read through.
// Long, since what is chosen, recovered, compared and noted is one thing.
import { resolve } from 'node:path'
import * as v from 'valibot'
import { openRecovered } from '../postgres/recovered.ts'
import { findServer, inServer, loginsOf, type Server, sql } from '../postgres/server.ts'
import { root } from '../system/checkout.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { counted } from '../system/format.ts'
import { notify } from '../system/notify.ts'
import { capture } from '../system/run.ts'
import { time, wholeNumber } from '../system/schema.ts'
import { Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { appendLine, readLines } from '../system/state_folder.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { type Chain, chainsOf } from './bases.ts'
import { listBases } from './make_base.ts'
import { basesBefore, countQuery, isThere, type NotedCount, noteCount, readNotedCounts } from './noted_counts.ts'
import { findReceiver, listSegments, readReached } from './receiver.ts'
import { untilReceived } from './ship_wal.ts'

const MOMENT_DRILL = v.object({
  time,
  /** the moment that was recovered */
  at: time,
  result: v.picklist(['recovered', 'failed']),
  seconds: v.exactOptional(v.number()),
  /** the one whose rows were compared */
  table: v.exactOptional(v.string()),
  /** only this many of its pages were; missing: all */
  pages: v.exactOptional(wholeNumber),
  rows: v.exactOptional(wholeNumber),
  error: v.exactOptional(v.string()),
})

export type MomentDrill = v.InferOutput<typeof MOMENT_DRILL>

const FILE = 'moment_drills.jsonl'

/** How the last one ended; undefined when there was none. */
export function lastMomentDrill() {
  return readLines(FILE, MOMENT_DRILL).at(-1)
}

/** A moment by chance of those that were noted and lie beside the database; now, when there is none. */
const chooseMoment = async (receiver: Server, chains: Chain[]): Promise<NotedCount> => {
  const [reached, segments] = [await readReached(receiver), await listSegments(receiver)]
  const there = readNotedCounts().filter(noted => isThere(chains, segments, reached, noted))
  const chosen = there[Math.floor(Math.random() * there.length)] ?? (await noteCount(receiver))
  if (!chosen)
    throw new Failure('no moment was noted yet, and none can be now: there is no table, or somebody holds it', {
      hint: 'run it again; who holds one for long? scripts/psql.ts, pg_locks',
    })
  if (there.length === 0) await untilReceived(receiver)
  return chosen
}

/** "public.users", or that it is a part of it: what was counted, in words that "has" follows. */
export function countedPart({ table, pages }: Pick<MomentDrilled, 'table' | 'pages'>) {
  return pages === undefined ? table : `the part of ${table} that was counted (its first ${counted(pages, 'page')})`
}

const nameOf = ({ schema, table, pages }: NotedCount) => ({
  table: `${schema}.${table}`,
  ...(pages === undefined ? {} : { pages }),
})

const compare = async (server: Server, noted: NotedCount) => {
  const { schema, table, rows, at } = noted
  const found = Number(await sql(server, server.database, countQuery(noted), { schema, table }))
  if (found === rows) return
  throw new Failure(
    `at ${at} ${countedPart(nameOf(noted))} had ${counted(rows, 'row')}, and what was recovered has ${found}`,
    {
      exitCode: EXIT.data,
      hint:
        'the archive does not bring back what it should: keep the nightly sets, and have a full base made (Sunday, ' +
        'or remove db/wal/base)',
    },
  )
}

const checkAll = (server: Server) =>
  capture(
    inServer(
      server,
      'pg_amcheck',
      `--username=${server.user}`,
      '--no-password',
      '--install-missing',
      '--jobs=2',
      server.database,
    ),
    {
      what: 'pg_amcheck, which reads every table and index,',
      exitCode: EXIT.data,
      hint: 'is the live database damaged, too? Its log: scripts/logs.ts postgres',
    },
  )

/** What a drill of a moment has found. */
export interface MomentDrilled {
  at: string
  seconds: number
  table: string
  /** only this many of its pages were counted; missing: all */
  pages?: number
  rows: number
}

const recoverAndCompare = async (settings: Settings, scope: Scope): Promise<MomentDrilled> => {
  const work = scope.use(await takeDataLock('trying a moment out', true))
  const receiver = await findReceiver(settings)
  const chains = chainsOf(await listBases(receiver))
  const noted = await chooseMoment(receiver, chains)
  const { image } = await findServer(settings.COMPOSE_PROJECT_NAME, settings)
  const origin = {
    project: settings.COMPOSE_PROJECT_NAME,
    image,
    logins: loginsOf(settings),
    folder: resolve(root, settings.WAL_DIR),
  }
  const bases = basesBefore(chains, noted.lsn).map(({ name }) => name)
  if (bases.length === 0)
    throw new Failure('there is no base backup to recover from', { hint: 'scripts/backup.ts makes one' })
  work.step('moment', `${noted.at}, in a throw-away server`)
  const began = performance.now()
  try {
    const target = { kind: 'point', point: noted.point } as const
    const { server, reached } = scope.use(await openRecovered(origin, target, async () => ({ bases })))
    if (!reached)
      throw new Failure(`the WAL beside the database cannot be read up to ${noted.at}`, {
        exitCode: EXIT.data,
        hint: 'is its disk damaged (dmesg)? The nightly sets are not; scripts/backup.ts makes a base to go on from',
      })
    const seconds = Number(((performance.now() - began) / 1000).toFixed(1))
    work.step('compare', `the rows of ${countedPart(nameOf(noted))}; then pg_amcheck reads every table and index`)
    await compare(server, noted)
    await checkAll(server)
    const found = { at: noted.at, seconds, ...nameOf(noted), rows: noted.rows }
    appendLine(FILE, { time: new Date().toISOString(), result: 'recovered', ...found })
    return found
  } catch (error) {
    const said = messageOf(error).split('\n')[0]?.slice(0, 300)
    appendLine(FILE, { time: new Date().toISOString(), at: noted.at, result: 'failed', error: said })
    throw error
  }
}

/**
 * Recovers a moment of the last days, one by chance, and looks whether it is what it was. Throws a Failure: 65 when
 * it is not, 69 when the service wal does not answer, 74 when it does not fit.
 */
export async function drillMoment(settings: Settings): Promise<MomentDrilled> {
  const listeners = { ...settings, PING_URL: undefined }
  const scope = new Scope()
  try {
    const done = await recoverAndCompare(settings, scope)
    await notify(listeners, true, `drill: the database of ${done.at} was recovered in ${done.seconds} s`)
    return done
  } catch (error) {
    await notify(listeners, false, `the drill of a moment failed: ${messageOf(error)}`)
    throw error
  } finally {
    await scope.dispose()
  }
}
