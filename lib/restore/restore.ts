// A restore: beside the live database, then in its place. Until the swap the live one is not touched, whatever happens.
import { dirname } from 'node:path'
import { audit } from '../system/audit.ts'
import type { Settings } from '../system/settings.ts'
import type { Lost } from '../postgres/bring_back.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import { admin, databaseExists, databaseStamp, nameOf } from '../postgres/databases.ts'
import { Failure, messageOf, usage } from '../system/errors.ts'
import { fillBeside } from './fill_scratch.ts'
import { findDump, type Source } from './find_dump.ts'
import { listFormer } from '../postgres/former_databases.ts'
import { contentsOf, keyTo } from '../backup/decrypt_set.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { openServer, type OpenServer } from './open_server.ts'
import type { Server } from '../postgres/server.ts'
import { startAnew, swapIn } from './cutover.ts'
import type { Contents } from '../backup/objects/catalog.ts'
import { type Restored, restoreObjects } from '../backup/objects/restore.ts'
import { planRestore, type RestorePlan, type RestoreRequest } from './plan.ts'
import { shielded } from '../system/signals.ts'
import type { Stack } from '../docker/stack.ts'
import { type Staged, stageDump } from './stage_dump.ts'
import { sweepRestores } from '../postgres/sweep.ts'
import { quoteWord } from '../system/shell.ts'
import { isKnown, tryStrange } from './strange_dump.ts'

/** How a restore is carried out, whatever it brings back. */
export interface RestoreOptions<Plan> {
  /** queue for the locks */
  wait: boolean
  /** told before anything is replaced; nothing is when it throws, or gives false */
  onPlan: (plan: Plan) => Promise<boolean>
}

export interface UndoPlan {
  /** the former database that comes back */
  from: string
  /** since when it is put aside */
  since: Date
  /** the database that it replaces */
  database: string
  /** the name under which that one is kept; undefined when there is none */
  former: string | undefined
}

export interface RestoreResult {
  result: 'restored' | 'undone'
  database: string
  /** the name of the one that it replaced, if any */
  former: string | null
  /** the dump, or the database that was swapped back */
  from: string
  /**
   * of the swap alone, and from its beginning until the apps were healthy again; null when no app was connected: in
   * seconds
   */
  swap: number
  interruption: number | null
  /** what of the dump could not be made again; none of it is data */
  lost: Lost[]
  /** of the set, that were brought back too */
  files: Restored | null
  /** spent in each step */
  seconds: Record<string, number>
}

/** What a restore works with, until it is disposed of. */
interface Work extends Disposable {
  stack: Stack
  open: OpenServer
  server: Server
  data: DataWork
  stamp: string
}

/** Takes both locks, since neither a backup nor a deploy (it may migrate) is to run meanwhile, and opens the server. */
const begin = async (stack: Stack, settings: Settings, wait: boolean): Promise<Work> => {
  const scope = new Scope()
  try {
    const data = scope.use(await takeDataLock('restoring', wait))
    scope.use(await takeDeployLock(wait))
    data.step('open')
    const open = scope.use(await openServer(stack, settings))
    await sweepRestores(stack.project, open.server)
    const dispose = () => scope.dispose()
    return { stack, open, server: open.server, data, stamp: databaseStamp(new Date()), dispose }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}

/**
 * Restores a dump. Gives undefined when it was only to be planned. Throws a Failure that says what became of the live
 * database.
 */
export async function restore(
  stack: Stack,
  settings: Settings,
  request: RestoreRequest,
  options: RestoreOptions<RestorePlan>,
): Promise<RestoreResult | undefined> {
  const find = () => findDump(request.word, settings.BACKUP_DIR)
  const early = find()
  if (early.manifest) await keyTo(early.manifest, request.keyFile)
  const scope = new Scope()
  try {
    const work = scope.use(await begin(stack, settings, options.wait))
    // Looked for again: a backup that held the lock may have replaced it.
    const source = find()
    const set = source.manifest && { ...source.manifest, folder: dirname(source.path) }
    const key = set && (await keyTo(set, request.keyFile))
    if (key) work.data.step('decrypt', source.path)
    const staged = scope.use(await stageDump(work.server, source.path, key))
    const contents = request.files && set && (await contentsOf(set, staged.folder, key))
    const result = await restoreStaged(work, settings, source, staged, request, options)
    if (!result) return undefined
    const files = contents ? await filesToo(work, settings, request, contents) : undefined
    return { ...result, files: files ?? null, seconds: work.data.seconds() }
  } finally {
    await scope.dispose()
  }
}

// A set is named again as it was named now: a copy of it has another name than it says.
const filesToo = async (
  { stack, data }: Work,
  settings: Settings,
  { word = 'latest', keyFile }: RestoreRequest,
  contents: Contents,
) => {
  data.step('files', 'those of the set that are missing or differ; what came since stays')
  try {
    return await restoreObjects({ stack, settings, contents })
  } catch (error) {
    const { message, exitCode, hint } = error instanceof Failure ? error : new Failure(messageOf(error))
    throw new Failure(`the database is restored, but not all of the files: ${message}`, {
      exitCode,
      cause: error,
      hint: `${hint ? `${hint}. ` : ''}When the cause is gone, the files alone: scripts/backup_restore.ts --files-only ${keyFile === undefined ? '' : `--key ${quoteWord(keyFile)} `}${quoteWord(word)}`,
    })
  }
}

const restoreStaged = async (
  work: Work,
  settings: Settings,
  source: Source,
  staged: Staged,
  request: RestoreRequest,
  { onPlan }: RestoreOptions<RestorePlan>,
) => {
  const { server, stack, stamp } = work
  const { step } = work.data
  step('prove', `reading all of ${source.path}`)
  const plan = await planRestore(stack, server, source, staged, request, stamp)
  if (!(await isKnown(source, staged.path, settings.BACKUP_DIR, request.vouched)))
    plan.runs = await tryStrange({
      project: stack.project,
      step,
      server,
      path: source.path,
      clear: staged.path,
      plan,
      options: request,
    })
  if (!(await onPlan(plan))) return undefined
  audit('restore', { dump: source.path, database: plan.database, former: plan.former ?? null })
  const scratch = nameOf(server.database, 'restoring', stamp)
  const { into } = request
  const result = { result: 'restored' as const, from: source.path }
  const filling = {
    server,
    step,
    scratch,
    inside: staged.inside,
    dump: plan.dump,
    searchPath: plan.searchPath,
    anonymise: request.anonymise,
    options: request,
  }
  // A server of its own that holds the copy ends when the other one takes over.
  const swapAfterwards = async () => {
    await staged.remove()
    return swapIn(work, scratch, plan.former)
  }
  if (into === undefined) {
    const { lost, ...swapped } = await fillBeside(filling, swapAfterwards)
    return { ...result, lost, ...(await startAnew(work, swapped)) }
  }
  const { lost } = await fillBeside(filling, () =>
    shielded(async () => ({
      renamed: await admin(server, 'alter database :"scratch" rename to :"into"', { scratch, into }),
    })),
  )
  return { ...result, lost, database: into, former: null, swap: 0, interruption: null }
}

/** Swaps the newest former database back; what is live now becomes a former one, so that this can be undone too. */
export async function undo(
  stack: Stack,
  settings: Settings,
  { wait, onPlan }: RestoreOptions<UndoPlan>,
): Promise<RestoreResult | undefined> {
  const work = await begin(stack, settings, wait)
  try {
    const { server, stamp, data } = work
    const [former] = await listFormer(server)
    if (!former)
      throw usage(
        'there is no former database to go back to',
        'a restore keeps one until a backup finds that its time is over (FORMER_DAYS)',
      )
    const there = await databaseExists(server, server.database)
    const name = there ? nameOf(server.database, 'before', stamp) : undefined
    if (!(await onPlan({ from: former.name, since: former.since, database: server.database, former: name })))
      return undefined
    audit('undo of a restore', { back: former.name, database: server.database, former: name ?? null })
    const swapped = await startAnew(work, await swapIn(work, former.name, name))
    return { result: 'undone', lost: [], files: null, from: former.name, ...swapped, seconds: data.seconds() }
  } finally {
    await work.dispose()
  }
}
