// A dump that no backup set of this server holds is a program of whoever made it, and runs with all rights in the
// database. So it is restored in a throw-away server first, which has no network and nothing to lose; then it is known
// what in it runs.
import { DUMP, fileOf, type Manifest } from '../backup/manifest.ts'
import { openSessions, rows, type Server } from '../postgres/server.ts'
import { bringBack } from '../postgres/bring_back.ts'
import { randomUUID } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { listSets } from '../backup/sets.ts'
import { DATABASE, openThrowAway } from '../postgres/throw_away.ts'
import { actingCommands } from './acting_commands.ts'
import type { Source } from './find_dump.ts'
import { docker } from '../docker/commands.ts'
import { admin, creationOf } from '../postgres/databases.ts'
import { handIn } from '../postgres/hand_in.ts'
import { root } from '../system/checkout.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { digest } from '../system/large_files.ts'
import { attempt } from '../system/run.ts'
import { checkInterruption } from '../system/signals.ts'
import type { DataWork } from '../system/work_lock.ts'
import { roleFlags, type RoleOptions } from './check_roles.ts'
import { compareWithDump, SESSION } from './fill_scratch.ts'
import { checkSpace, type RestorePlan } from './plan.ts'

const setsOf = (folder: string) => {
  try {
    return listSets(folder).sets
  } catch (error) {
    // Their disk may be the one that is lost.
    if (error instanceof Failure) return []
    throw error
  }
}

/** Whether a dump, which lies in the clear at `path`, is that of a set in BACKUP_DIR, or of one that is vouched for. */
export async function isKnown(
  { sha256 }: Pick<Source, 'sha256'>,
  path: string,
  folder: string,
  vouched: Manifest | undefined,
) {
  if (statSync(path).isDirectory()) return false
  const content = sha256 ?? (await digest(path)).sha256
  return [...(vouched ? [vouched] : []), ...setsOf(folder)].some(set => fileOf(set, DUMP)?.sha256 === content)
}

// Nobody logs in as they do; but what is theirs in the dump can be.
const ROLES =
  "select format('create role %I %s;', rolname, case when rolsuper then 'superuser' end) from pg_roles where " +
  "rolname !~ '^pg_'"

// What it holds is not kept.
const QUICK = ['fsync=off', 'full_page_writes=off', 'wal_level=minimal', 'max_wal_senders=0']

/** More than that of a log is not read: it is not that of a restore alone. */
const MOST = 1 << 26

// The server tells what it was sent before it does it: whatever hides its traces is told too.
const commandsOf = async (server: Server, mark: string) => {
  const { code, stderr } = await attempt(docker('logs', server.id), { most: MOST })
  const sent = stderr.split(mark).flatMap(entry => /^pg_restore\|LOG: {2}statement: ([^]*)$/.exec(entry)?.[1] ?? [])
  const commands = sent.flatMap(text => actingCommands(text.replaceAll('\n\t', '\n')))
  return [
    ...(code === 0 ? [] : ['more than can be read: its log is incomplete']),
    ...new Set(commands.map(command => `the command ${command}`)),
  ]
}

interface Trial {
  project: string
  step: DataWork['step']
  /** the one that it is for */
  server: Server
  /** the dump, and where it lies in the clear */
  path: string
  plaintext: string
  plan: Pick<RestorePlan, 'dump' | 'searchPath'>
  options: RoleOptions
}

/**
 * Restores it there. Gives what in it runs at a restore, in words. Throws a Failure (65) when its rows do not come
 * back.
 */
export async function tryStrange({ project, step, server, path, plaintext, plan, options }: Trial): Promise<string[]> {
  step(
    'try',
    `${path} is of no backup set of this server: it is restored in a throw-away server without a network first`,
  )
  const mark = `${randomUUID()}|`
  const throwAway = await openThrowAway(project, server.image, [
    ...QUICK,
    'log_statement=all',
    `log_line_prefix=${mark}%a|`,
  ])
  try {
    const bare = throwAway.server
    await admin(bare, await admin(server, ROLES))
    const trial = await openSessions(bare)
    await admin(trial, await creationOf(server, DATABASE))
    await checkSpace(trial, plan.dump)
    await fill(trial, path, plaintext, plan, options)
    return [
      ...(await commandsOf(trial, mark)),
      ...(await rows<string>(trial, DATABASE, readFileSync(join(root, 'postgres', 'what_runs.sql'), 'utf8'))),
    ]
  } finally {
    await throwAway.dispose()
  }
}

const fill = async (trial: Server, path: string, plaintext: string, plan: Trial['plan'], options: RoleOptions) => {
  const { inside } = await handIn(trial, plaintext)
  try {
    const how = { searchPath: plan.searchPath, flags: roleFlags(options), settings: SESSION }
    await bringBack(trial, DATABASE, inside, how)
    await compareWithDump(trial, DATABASE, plan.dump)
  } catch (error) {
    checkInterruption()
    if (!(error instanceof Failure)) throw error
    throw new Failure(`${path} cannot be restored, not even in a throw-away server: ${error.message}`, {
      exitCode: EXIT.data,
      cause: error,
      hint: 'nothing was touched; take another one (scripts/backup.ts --list)',
    })
  }
}
