// A cluster as it was at a moment, in a throw-away server without a network: recovered from bases and the WAL in a
// folder of the archive's layout, which is only read.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { failureOf, showAttempt } from '../system/run.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import { holdContainer } from './held_container.ts'
import { inServer, openSessions, type Server } from './server.ts'

/**
 * The state to come back to: before what was committed at a time, or behind a place of the WAL, at a restore point (the
 * first of its name), or all that there is.
 */
export type RecoveryTarget =
  | { kind: 'time'; time: Date }
  /** `name`: what a person calls that place, `at`: about when it was written */
  | { kind: 'lsn'; lsn: string; name?: string; at?: Date }
  | { kind: 'point'; point: string }
  | { kind: 'end' }

export interface Recovery {
  /** the WAL went on behind the target; else all of it is in */
  reached: boolean
  /** when the last transaction was committed that it has; undefined when there was none since the base */
  kept: Date | undefined
  /** the first that it lacks; undefined when the WAL has none behind it, or its time is not known */
  dropped: { transaction: string; at: Date } | undefined
  /** by which it was recovered, the full one first */
  bases: string[]
  /** bytes of the WAL that were replayed, in whole segments */
  wal: number
  /** where its last record begins, as an LSN; empty when none had to be replayed */
  last: string
}

/** What was recovered, until it is disposed of. */
export interface Recovered extends Recovery, Disposable {
  server: Server
}

export interface Origin {
  project: string
  image: string
  logins: Pick<Server, 'user' | 'app' | 'database'>
  /** on this machine: base/ and segments/ lie in it */
  folder: string
  /**
   * the volume of the site's own server, for a recovery that is to become its data; without it the cluster is gone with
   * the container
   */
  volume?: string | undefined
}

/** What a recovery takes of the folder. */
export interface Choice {
  /** names, the full one first */
  bases: string[]
  /** where they and their WAL lie in the container, when that is not /wal itself */
  place?: string | undefined
}

const RESULT = /^result (.*)$/m
const HIDDEN = /^result |--link mode was used/

const goalOf = (target: RecoveryTarget) => {
  // Abbreviations of zones are not known where settings are read.
  if (target.kind === 'time') return target.time.toISOString().replace('Z', '+00')
  if (target.kind === 'lsn') return target.lsn
  return target.kind === 'point' ? target.point : ''
}

/** PostgreSQL's own form: "2026-11-25 13:32:10.123456+00" */
const timeIn = (text: string) => (text === '' ? undefined : new Date(`${text.replace(' ', 'T').replace(/\+00$/, '')}Z`))

const recover = async (
  id: string,
  { bases, place = '/wal' }: Choice,
  target: RecoveryTarget,
  mode: 'look' | 'become',
): Promise<Recovery> => {
  const script = readFileSync(join(root, 'postgres', 'recover.sh'), 'utf8')
  const command = inServer(
    { id },
    'env',
    `MODE=${mode}`,
    'bash',
    '-c',
    script,
    'recover',
    place,
    target.kind,
    goalOf(target),
    ...bases,
  )
  const outcome = await showAttempt(command, { hide: HIDDEN })
  const [, result] = RESULT.exec(outcome.stdout) ?? []
  if (outcome.code === 0 && result !== undefined) {
    const {
      reached,
      kept,
      dropped,
      transaction,
      wal,
      last = '',
    } = JSON.parse(result) as Record<'kept' | 'dropped' | 'transaction', string> & {
      reached: boolean
      wal: number
      last?: string
    }
    const at = timeIn(dropped)
    return {
      reached,
      kept: timeIn(kept),
      dropped: at && { transaction, at },
      bases,
      wal,
      last,
    }
  }
  const exitCode =
    [EXIT.data, EXIT.unreachable, EXIT.noSpace, EXIT.locked].find(code => code === outcome.code) ?? EXIT.failed
  throw failureOf(command, outcome, { what: 'the recovery', exitCode, hint: 'nothing was touched' })
}

/**
 * Recovers a cluster from the bases that are chosen by looking into the folder, the full one first; in the container it
 * is /wal. Throws a Failure: 65 when something is damaged, 74 when it does not fit.
 */
export async function openRecovered(
  { project, image, logins, folder, volume }: Origin,
  target: RecoveryTarget,
  choose: (container: Pick<Server, 'id'>) => Promise<Choice>,
): Promise<Recovered> {
  const scope = new Scope()
  try {
    const mounts = [{ from: folder, to: '/wal' }]
    const { id } = scope.use(await holdContainer(project, { image, user: logins.user, mounts, volume }))
    const choice = await choose({ id })
    if (choice.bases.length === 0) throw new Failure('there is no base to recover from', { exitCode: EXIT.data })
    const recovery = await recover(id, choice, target, volume === undefined ? 'look' : 'become')
    const server = await openSessions({ id, name: 'a throw-away server', image, ...logins })
    return { ...recovery, server, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}

/**
 * Ends a server that was recovered in a volume, proves every page of it, and puts its data in their place there, in
 * which `from` can be read (the file recovered_from), if it is given. Throws a Failure (65) for a page that is damaged.
 */
export async function settleRecovered(server: Server, from = '') {
  const script = readFileSync(join(root, 'postgres', 'settle.sh'), 'utf8')
  const command = inServer(server, 'bash', '-c', script, 'settle', from)
  const outcome = await showAttempt(command)
  if (outcome.code === 0) return
  const exitCode = outcome.code === EXIT.data ? EXIT.data : EXIT.failed
  throw failureOf(command, outcome, { what: 'putting the data in their place', exitCode, hint: 'nothing was touched' })
}
