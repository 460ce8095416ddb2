// The database as it was at a moment or in a backup set, to look into: in a throw-away server of its own, which is
// gone when it is disposed of.
import { keyTo, openPlaintext } from '../backup/decrypt_set.ts'
import { restoreSet } from '../backup/drill.ts'
import { findSet } from '../backup/sets.ts'
import { listInstances } from '../docker/containers.ts'
import { openEmpty } from '../postgres/empty_server.ts'
import type { RecoveryTarget } from '../postgres/recovered.ts'
import { loginsOf, openSessions, type Server } from '../postgres/server.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { checkInterruption } from '../system/signals.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { type DataWork, takeDataLock } from '../system/work_lock.ts'
import { targetText, timeOf } from './moments.ts'
import { recoverMoment } from './recover_moment.ts'

/** A server that has the past, and nothing else. */
export interface Past extends Disposable {
  server: Server
  /** what it is of, in words, and when that was */
  what: string
  at: Date
}

export interface PastRequest {
  target: RecoveryTarget | undefined
  /** the name of a backup set, when no moment is meant */
  set: string | undefined
  keyFile: string | undefined
}

/** The stack's own server, which need not run: another one is of its image. */
const findOwn = async (project: string, settings: Settings) => {
  const instances = (await listInstances(project, 'postgres')).filter(({ oneOff }) => !oneOff)
  const own = instances.find(({ running }) => running) ?? instances[0]
  if (!own)
    throw new Failure('there is no container of postgres, so nobody knows its image', {
      exitCode: EXIT.unreachable,
      hint: 'docker compose create postgres',
    })
  return { running: own.running, server: { id: own.id, name: own.name, image: own.image, ...loginsOf(settings) } }
}

/** Undefined when it does not answer: what the archive has can be looked at all the same. */
const answering = async (server: Server) => {
  try {
    return await openSessions(server)
  } catch (error) {
    checkInterruption()
    say.warn(`${messageOf(error)}; what the archive has by now is all that is looked at`)
    return undefined
  }
}

const openMomentOf = async (
  project: string,
  settings: Settings,
  target: RecoveryTarget,
  keyFile: string | undefined,
  step: DataWork['step'],
): Promise<Past> => {
  step('recover', `${targetText(target)}, in a throw-away server without a network`)
  const { running, server } = await findOwn(project, settings)
  const live = running ? await answering(server) : undefined
  const { moment, ...past } = await recoverMoment({ project, image: server.image }, live, target, { settings, keyFile })
  const at = timeOf(target) ?? moment.kept ?? new Date()
  return { ...past, what: targetText(target), at }
}

const openSet = async (
  project: string,
  settings: Settings,
  { set: name, keyFile }: PastRequest,
  step: DataWork['step'],
): Promise<Past> => {
  const set = findSet(settings.BACKUP_DIR, name)
  const key = await keyTo(set, keyFile)
  const { image } = (await findOwn(project, settings)).server
  const scope = new Scope()
  const plaintext = await openPlaintext(set, key)
  try {
    step('restore', `${set.name}, in a throw-away server without a network`)
    const { server } = scope.use(await openEmpty(project, image, settings.POSTGRES_DB))
    for (const { object } of await restoreSet(server, set, plaintext.path, server.database, server.app))
      say.warn(`not there: ${object}`)
    const { name, made } = set
    return {
      server: await openSessions(server),
      what: `the set ${name}`,
      at: new Date(made),
      dispose: () => scope.dispose(),
    }
  } catch (error) {
    await scope.dispose()
    throw error
  } finally {
    await plaintext.dispose()
  }
}

/** Opens it. Only under the data lock. Throws a Failure: 64 or 65 when there is no such moment or set. */
export function openPastOf(
  project: string,
  settings: Settings,
  request: PastRequest,
  step: DataWork['step'],
): Promise<Past> {
  const { target, keyFile } = request
  return target ? openMomentOf(project, settings, target, keyFile, step) : openSet(project, settings, request, step)
}

/**
 * The same. The lock of backups and restores is held until it is there, since what it is made of must not be removed
 * meanwhile. Throws a Failure with 75 when it is held by another.
 */
export async function openPast(project: string, settings: Settings, request: PastRequest, wait: boolean) {
  const work = await takeDataLock('opening the past', wait)
  try {
    return await openPastOf(project, settings, request, work.step)
  } finally {
    await work.dispose()
  }
}
