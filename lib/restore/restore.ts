// A restore: beside the live database, then in its place. Until the swap the live one is not touched, whatever happens.
// Long, since its steps, and what a failure in each leaves, have to be read together.
import { dirname } from 'node:path'
import { audit } from '../system/audit.ts'
import { runBefore, tellAfter } from '../system/hooks.ts'
import type { Settings } from '../system/settings.ts'
import { type Planned, Scope } from '../system/scope.ts'
import { admin } from '../postgres/databases.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { asUntouched, fillScratch, openScratch } from './fill_scratch.ts'
import { dumpMoment } from './dump_moment.ts'
import { findDump, type Source } from './find_dump.ts'
import { contentsOf, keyTo } from '../backup/decrypt_set.ts'
import { startAnew, swapIn } from './cutover.ts'
import type { Contents } from '../backup/objects/catalog.ts'
import { openObjects } from '../backup/objects/restore.ts'
import { planRestore, type RestorePlan, type RestoreRequest, type RestoreResult } from './plan.ts'
import { checkInterruption, shielded } from '../system/signals.ts'
import type { Stack } from '../docker/stack.ts'
import { type Staged, stageDump } from './stage_dump.ts'
import { openReady } from './ready.ts'
import { beginWork, type RestoreWork } from './work.ts'
import { quoteWord } from '../system/shell.ts'
import { isKnown, tryStrange } from './strange_dump.ts'

/** How a database takes the place of the live one, and what is started anew then. */
export interface Cutover {
  swapIn: typeof swapIn
  startAnew: typeof startAnew
}

/**
 * Proves a dump while the site is up, and plans its restore: into the place of the live database, or beside it. Opening
 * and executing throw a Failure that says what became of the live database.
 */
export async function openRestore(
  stack: Stack,
  settings: Settings,
  request: RestoreRequest,
  wait: boolean,
  cutover: Cutover = { swapIn, startAnew },
): Promise<Planned<RestorePlan, RestoreResult>> {
  const { target } = request
  const find = () => findDump(request.name, settings.BACKUP_DIR)
  const early = target ? undefined : find()
  if (early?.manifest) await keyTo(early.manifest, request.keyFile)
  const scope = new Scope()
  try {
    const work = scope.use(await beginWork(stack, settings, wait))
    // Looked for again: a backup that held the lock may have replaced it.
    const source = target ? scope.use(await dumpMoment(work, target, { settings, keyFile: request.keyFile })) : find()
    const ready = target ? undefined : await openReady(work, settings, source, request)
    if (ready) return { ...ready, dispose: () => scope.dispose() }
    const set = source.manifest && { ...source.manifest, folder: dirname(source.path) }
    const key = set && (await keyTo(set, request.keyFile))
    if (key) work.data.step('decrypt', source.path)
    const staged = scope.use(await stageDump(work.server, source.path, key))
    const contents = request.files && set && (await contentsOf(set, staged.folder, key))
    const plan = await prove(work, settings, source, staged, request)
    const restoreIt = async () => {
      audit('restore', { dump: plan.source, database: plan.database, former: plan.former ?? null })
      const restored = await bringIn(work, staged, plan, request, cutover)
      const files = contents ? await filesToo(work, settings, request, contents) : null
      return { result: 'restored' as const, from: plan.source, ...restored, files, seconds: work.data.seconds() }
    }
    const execute = async () => {
      const about = { kind: 'restore', from: plan.source, database: plan.database, former: plan.former ?? null }
      const after = await runBefore('restore', settings, about)
      return tellAfter(after, restoreIt, ({ lost, files }) => ({ lost: lost.length, files: files?.uploaded ?? null }))
    }
    return { plan, execute, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}

// A set is named again as it was named now: a copy of it has another name than it says.
const filesToo = async (
  { stack, data }: RestoreWork,
  settings: Settings,
  { name = 'latest', keyFile }: RestoreRequest,
  contents: Contents,
) => {
  data.step('files', 'those of the set that are missing or differ; what came since stays')
  const scope = new Scope()
  try {
    return await scope.use(await openObjects({ stack, settings, contents })).execute()
  } catch (error) {
    const { message, exitCode, hint } = error instanceof Failure ? error : new Failure(messageOf(error))
    throw new Failure(`the database is restored, but not all of the files: ${message}`, {
      exitCode,
      cause: error,
      hint:
        `${hint ? `${hint}. ` : ''}When the cause is gone, the files alone: scripts/backup_restore.ts --files-only ` +
        `${keyFile === undefined ? '' : `--key ${quoteWord(keyFile)} `}${quoteWord(name)}`,
    })
  } finally {
    await scope.dispose()
  }
}

/** What restoring a dump would do, once it is proved; one that nobody knows is tried in a server of its own first. */
const prove = async (
  work: RestoreWork,
  settings: Settings,
  source: Source,
  staged: Staged,
  request: RestoreRequest,
) => {
  const { server, stack, stamp } = work
  const { step } = work.data
  const { path } = source
  step('prove', `reading all of ${path}`)
  const plan = await planRestore(stack, server, source, staged, request, stamp)
  if (source.moment || (await isKnown(source, staged.path, settings.BACKUP_DIR, request.vouched))) return plan
  const { project } = stack
  const runs = await tryStrange({ project, step, server, path, plaintext: staged.path, plan, options: request })
  return { ...plan, runs }
}

/** Restores the database, and starts anew what used the one that it replaces. Throws a Failure. */
const bringIn = async (
  work: RestoreWork,
  staged: Staged,
  plan: RestorePlan,
  request: RestoreRequest,
  cutover: Cutover,
) => {
  const { lost, swapped } = await fillAndPlace(work, staged, plan, request, cutover)
  if (swapped) return { lost, ...(await cutover.startAnew(work, swapped)) }
  return { lost, database: plan.database, former: null, swap: 0, interruption: null }
}

/** Fills a database and gives it its place: that of the live one, or one beside it. Throws a Failure. */
const fillAndPlace = async (
  work: RestoreWork,
  { inside, remove }: Staged,
  { dump, searchPath, former }: RestorePlan,
  request: RestoreRequest,
  cutover: Cutover,
) => {
  const { server, stamp } = work
  const { anonymise, into } = request
  const scratch = openScratch(server, stamp)
  const { step } = work.data
  try {
    const filling = { server, step, scratch: scratch.name, inside, dump, searchPath, anonymise, options: request }
    const lost = await fillScratch(filling)
    checkInterruption()
    if (into === undefined) {
      // A server of its own that holds the copy ends when the other one takes over.
      await remove()
      const swapped = await cutover.swapIn(work, scratch.name, former)
      scratch.placed()
      return { lost, swapped }
    }
    await shielded(() => admin(server, 'alter database :"scratch" rename to :"into"', { scratch: scratch.name, into }))
    scratch.placed()
    return { lost, swapped: undefined }
  } catch (error) {
    throw asUntouched(error, server)
  } finally {
    await scratch.dispose()
  }
}
