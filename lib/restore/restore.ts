// A restore: beside the live database, then in its place. Until the swap the live one is not touched, whatever happens.
import { dirname } from 'node:path'
import { confirm } from '../ask.ts'
import { audit } from '../audit.ts'
import type { Settings } from '../config.ts'
import type { Lost } from '../backup/bring_back.ts'
import { takeDataLock, type DataWork } from '../backup/data_lock.ts'
import { removeFolder } from '../backup/dumps_folder.ts'
import { admin, databaseExists, nameOf, stampOf } from './databases.ts'
import { Failure, messageOf, usage } from '../errors.ts'
import { fillBeside } from './fill_beside.ts'
import { findDump, type Source } from './find_dump.ts'
import { listFormer } from './former.ts'
import { contentsOf, keyTo } from '../backup/in_the_clear.ts'
import { takeDeployLock } from '../deploy/journal.ts'
import { openServer, type OpenServer } from './open_server.ts'
import type { Server } from '../postgres.ts'
import { startAnew, swapIn } from './put_in_place.ts'
import type { Contents } from '../backup/objects_index.ts'
import { restoreObjects } from '../backup/objects_restore.ts'
import { planRestore, type Request } from './restore_plan.ts'
import { planText, sayFiles } from './restore_report.ts'
import { quoteWord } from '../remote/ssh.ts'
import { age, print, say } from '../say.ts'
import { shielded } from '../signals.ts'
import type { Stack } from '../stack.ts'
import { isKnown, tryStrange } from './strange_dump.ts'
import { stage, type Staged } from './stage.ts'
import { sweepRestores } from './sweep_restores.ts'

export interface Manner {
  /** ask before anything is replaced */
  ask: boolean
  /** queue for the locks */
  wait: boolean
  /** only tell what would be done */
  dryRun: boolean
  /** … as one JSON document */
  json: boolean
}

export interface Result {
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
  /** spent in each step */
  seconds: Record<string, number>
}

interface Work {
  stack: Stack
  open: OpenServer
  server: Server
  step: DataWork['step']
  stamp: string
}

// Neither a backup nor a deploy (it may migrate) meanwhile.
const underLocks = async <T>(wait: boolean, work: (data: DataWork) => Promise<T>) => {
  const data = await takeDataLock('restoring', wait)
  try {
    const release = await takeDeployLock(wait)
    try {
      return await work(data)
    } finally {
      await release()
    }
  } finally {
    await data.release()
  }
}

const withServer = (
  stack: Stack,
  settings: Settings,
  wait: boolean,
  act: (work: Work) => Promise<Omit<Result, 'seconds'> | undefined>,
): Promise<Result | undefined> =>
  underLocks(wait, async data => {
    data.step('open')
    const open = await openServer(stack, settings)
    try {
      await sweepRestores(stack.project, open.server)
      const result = await act({ stack, open, server: open.server, step: data.step, stamp: stampOf(new Date()) })
      return result && { ...result, seconds: data.seconds() }
    } finally {
      await open.close()
    }
  })

/**
 * Restores a dump. Gives undefined when it was only to be planned. Throws a Failure that says what became of the live
 * database.
 */
export const restore = async (stack: Stack, settings: Settings, request: Request, manner: Manner) => {
  const find = () => findDump(request.word, settings.BACKUP_DIR ?? '')
  const early = find()
  if (early.manifest) await keyTo(early.manifest, request.keyFile)
  return withServer(stack, settings, manner.wait, async work => {
    // Looked for again: a backup that held the lock may have replaced it.
    const source = find()
    const key = source.manifest && (await keyTo(source.manifest, request.keyFile))
    if (key) work.step('decrypt', source.path)
    const staged = await stage(work.server, source.path, key)
    try {
      const contents =
        request.files &&
        source.manifest &&
        (await contentsOf({ ...source.manifest, folder: dirname(source.path) }, staged.folder, key))
      const result = await restoreStaged(work, settings, source, staged, request, manner)
      if (result && contents) await filesToo(work, settings, request, contents)
      return result
    } finally {
      await staged.remove()
      removeFolder(staged.folder)
    }
  })
}

// A set is named again as it was named now: a copy of it has another name than it says.
const filesToo = async (
  { stack, step }: Work,
  settings: Settings,
  { word = 'latest', keyFile }: Request,
  contents: Contents,
) => {
  step('files', 'those of the set that are missing or differ; what came since stays')
  try {
    sayFiles(await restoreObjects({ stack, settings, contents }))
  } catch (error) {
    const { message, exitCode, hint } = error instanceof Failure ? error : new Failure(messageOf(error))
    throw new Failure(`the database is restored, but not all of the files: ${message}`, {
      exitCode,
      cause: error,
      hint: `${hint ? `${hint}. ` : ''}When the cause is gone, the files alone: scripts/backup_restore.ts --files-only ${keyFile === undefined ? '' : `--key ${quoteWord(keyFile)} `}${quoteWord(word)}`,
    })
  }
}

const show = ({ dryRun, json }: Manner, plan: object, text: string) =>
  dryRun ? print(json ? JSON.stringify(plan) : text) : say.line(text)

const restoreStaged = async (
  work: Work,
  settings: Settings,
  source: Source,
  staged: Staged,
  request: Request,
  manner: Manner,
) => {
  const { server, step, stack, stamp } = work
  step('prove', `reading all of ${source.path}`)
  const plan = await planRestore(stack, server, source, staged, request, stamp)
  if (!(await isKnown(source, staged.path, settings.BACKUP_DIR ?? '', request.vouched)))
    plan.runs = await tryStrange({
      project: stack.project,
      step,
      server,
      path: source.path,
      clear: staged.path,
      plan,
      options: request,
    })
  show(manner, plan, planText(plan))
  if (manner.dryRun) return undefined
  if (manner.ask && request.into === undefined) await confirm(`replacing ${server.database}`, server.database)
  else if (manner.ask && plan.runs) await confirm('restoring a dump of no backup set', plan.database)
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
export const undo = (stack: Stack, settings: Settings, manner: Manner) =>
  withServer(stack, settings, manner.wait, async work => {
    const { server, stamp } = work
    const [former] = await listFormer(server)
    if (!former)
      throw usage(
        'there is no former database to go back to',
        'a restore keeps one until a backup finds that its time is over (FORMER_DAYS)',
      )
    const there = await databaseExists(server, server.database)
    const name = there ? nameOf(server.database, 'before', stamp) : undefined
    const text = [
      `back to     ${former.name}, put aside ${age(former.since)} ago`,
      `kept        the database as it is now${name ? `, under the name ${name}` : ': there is none'}`,
    ]
    show(manner, { from: former.name, former: name }, text.join('\n'))
    if (manner.dryRun) return undefined
    if (manner.ask) await confirm(`replacing ${server.database}`, server.database)
    audit('undo of a restore', { back: former.name, database: server.database, former: name ?? null })
    return {
      result: 'undone' as const,
      lost: [],
      from: former.name,
      ...(await startAnew(work, await swapIn(work, former.name, name))),
    }
  })
