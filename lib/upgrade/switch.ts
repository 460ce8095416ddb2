// The moment at which another volume becomes that of the site, and the way to it when it was interrupted.
// Long, since what a kill leaves at each of its steps, and who puts that in order, have to be read together.
import { readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { compose, docker, start } from '../docker/commands.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { listInstances } from '../docker/containers.ts'
import { restartAll, usersOf } from '../docker/restart.ts'
import type { Stack } from '../docker/stack.ts'
import {
  type ClusterChange,
  noteChange,
  noteEnd,
  readUpgradeNote,
  removeVolume,
  volumeExists,
} from '../postgres/upgrade_note.ts'
import { forgetReplication } from '../postgres/replication.ts'
import { removeHolders } from '../postgres/held_container.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { PLACE } from '../postgres/server_image.ts'
import { root } from '../system/checkout.ts'
import { changeSettings, ENV_FILE, settingsWith } from '../system/env_file.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { readOrEmpty, replaceFile } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { attempt, capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import { stateFile } from '../system/state_folder.ts'
import { dataFolderOf, serverUnder } from './images.ts'
import { removeNewServer } from './new_server.ts'

/** seconds that a server is given to start (it may be reading its log after a crash) */
const PATIENCE = 120

// Compose takes a container for what it is to be when another volume has the name of its own.
const upCommand = (isOther: boolean) => {
  const words = ['--detach', '--no-build', '--no-deps', '--wait', '--wait-timeout', String(PATIENCE)]
  const anew = isOther ? ['--force-recreate'] : []
  return compose(composeFiles(), '--progress', 'quiet', 'up', ...words, ...anew, 'postgres')
}

/** Starts the server that .env names, and waits until it is healthy. */
export async function startServer(stack: Stack) {
  const there = await serving(stack)
  const isOther = there !== undefined && there.volume !== (await serverUnder({})).volume
  await capture(upCommand(isOther), { what: 'starting postgres', hint: 'scripts/logs.ts postgres says why' })
}

/** As people call the two. */
const namesOf = ({ former, next, moment }: ClusterChange) =>
  moment === undefined
    ? { former: `PostgreSQL ${former.version}`, next: `PostgreSQL ${next.version}` }
    : { former: 'the former server', next: `the server of ${moment}` }

/**
 * Starts the former cluster, which has its place again, if it ran before. Gives what is to be said of it. That it does
 * not start may be why the whole server was to be restored.
 */
const startFormer = async (stack: Stack, { moment, stopped }: ClusterChange) => {
  if (stopped) {
    await capture(
      compose(composeFiles(), '--progress', 'quiet', 'create', '--no-build', '--force-recreate', 'postgres'),
    )
    return 'has its place again, and does not run, as before'
  }
  try {
    await startServer(stack)
    return 'serves again'
  } catch (error) {
    if (moment === undefined) throw error
    return 'has its place again, and does not start, as before'
  }
}

/** The next cluster has had the place, and gives it back. */
const noteWayBack = ({ former, next }: ClusterChange) =>
  noteChange({ since: new Date().toISOString(), former: next, next: former })

/** Has the former cluster take its place again. Gives what is to be said of that. */
const goBack = async (stack: Stack, change: ClusterChange) => {
  const { former, next } = change
  const names = namesOf(change)
  say.warn(`${names.next} does not start: back to ${names.former}`)
  const hasBegun = (await serverUnder({})).volume === next.volume
  changeSettings(former.settings)
  const how = await startFormer(stack, change)
  if (hasBegun) noteWayBack(change)
  return (
    `${names.former} ` +
    `${how}${hasBegun ? `; what was written meanwhile, if anything, is in the volume ${next.volume}` : ''}`
  )
}

/** Where the data of a cluster are while it is served. */
export async function pgdataOf({ image, settings }: ClusterChange['next']) {
  return (await serverUnder(settings)).pgdata ?? (await dataFolderOf(image))
}

// Held while it is at work, whoever started it.
const SWITCHING = 'postgres_switch.lock'

const preparedFor = (env: string) => `${env}.next`

/**
 * Has the next cluster take the place of the former one, whose container, if there is one, ends. `unfinished`: its data
 * have yet to get their name. Throws a Failure; the former one serves again then.
 */
export async function switchTo(stack: Stack, change: ClusterChange, old: string | undefined, unfinished: boolean) {
  const { next } = change
  const env = realpathSync(ENV_FILE)
  const prepared = preparedFor(env)
  const log = stateFile('postgres_switch.log')
  replaceFile(prepared, settingsWith(readFileSync(env, 'utf8'), next.settings), statSync(env).mode & 0o777)
  const pgdata = unfinished ? await pgdataOf(next) : ''
  const words = [log, old ?? '', prepared, env, next.volume, next.image, pgdata, ...upCommand(true)]
  const script = join(root, 'lib', 'upgrade', 'switch.sh')
  const { code } = await attempt(['flock', stateFile(SWITCHING), 'bash', script, ...words])
  rmSync(prepared, { force: true })
  if (code === 0) return
  const said = readOrEmpty(log).trim().split('\n').slice(-8).join('\n  ')
  const hint = await goBack(stack, change)
  throw new Failure(`${namesOf(change).next} did not start:\n  ${said}`, { hint })
}

/** The container of the stack's server, and the volume that it has; undefined when there is none. */
export async function serving({ project }: Stack) {
  const instance = (await listInstances(project, 'postgres')).find(({ oneOff }) => !oneOff)
  if (!instance) return undefined
  const format = `{{range .Mounts}}{{if eq .Destination "${PLACE}"}}{{.Name}}{{end}}{{end}}`
  return { ...instance, volume: await capture(docker('inspect', '--format', format, instance.id)) }
}

/** A change that a run that was killed had begun, and that another one has brought to its end. */
export interface Finished {
  finished: ClusterChange
}

/** A way back is between two that are both kept. */
const isKept = (next: ClusterChange['next']) => readUpgradeNote().kept.some(({ volume }) => volume === next.volume)

/**
 * Removes what has been made for a change that did not come to its end: the server that was filled, its volume, and
 * what an upgrade has left in the old one. Throws a Failure, and removes nothing, while .env names that volume: the way
 * back failed, and Compose would make an empty one of its name. One that is lost has nothing taken out of it.
 */
export async function discard(
  stack: Stack,
  settings: Settings,
  { former, next, moment }: ClusterChange,
  isLost = false,
) {
  await shielded(async () => {
    if (next.volume !== former.volume && (await serverUnder({})).volume === next.volume)
      throw new Failure(`.env names the volume ${next.volume}, so nothing is removed; run it again`)
    await removeNewServer(stack.project)
    if (moment === undefined && !isLost) {
      const old = await openSessions(await findServer(stack.project, settings))
      await forgetReplication(old, readUpgradeNote().under_way?.had)
    } else if (moment !== undefined) await removeHolders(stack.project, next.volume)
    if (!isKept(next) && next.volume !== former.volume && (await volumeExists(next.volume)))
      await removeVolume(next.volume)
    noteEnd()
  })
}

// Nothing of the former one was changed: it is only started when the switch has stopped it, or when a way back was
// killed that had begun to give it its place.
const goBackToFormer = async (stack: Stack, settings: Settings, change: ClusterChange) => {
  const there = await serving(stack)
  if (there?.volume === change.next.volume) {
    say.warn(`${namesOf(change).former} ${await startFormer(stack, change)}`)
    noteWayBack(change)
    return
  }
  if (!change.stopped && there && !there.running) await attempt(start(there.id))
  await discard(stack, settings, change)
}

/**
 * Whether a change that was killed has been made: the volume that .env names, and the one whose server runs. When the
 * whole server is restored .env alone tells: the former one may run and serve nothing.
 */
export function hasSwitched(
  { next, moment }: Pick<ClusterChange, 'next' | 'moment'>,
  named: string,
  there: { running: boolean; volume: string } | undefined,
) {
  return (moment === undefined && there?.running ? there.volume : named) === next.volume
}

/**
 * Puts in order what one that was killed has left: before the switch it goes back, after it forward. Gives the change
 * that is made by it, if one is. Throws a Failure when the server that an upgrade leaves does not start, unless it
 * `mayBeLost`: another one is to take its place.
 */
export async function recoverChange(
  stack: Stack,
  settings: Settings,
  mayBeLost = false,
): Promise<ClusterChange | undefined> {
  const { under_way: change } = readUpgradeNote()
  if (!change) return undefined
  const { former, next } = namesOf(change)
  say.step(`recover: a change from ${former} to ${next} that began at ${change.since} did not end`)
  // What it started may still be at work.
  await attempt(['flock', stateFile(SWITCHING), 'true'])
  rmSync(preparedFor(realpathSync(ENV_FILE)), { force: true })
  const there = await serving(stack)
  const isSwitched = hasSwitched(change, (await serverUnder({})).volume, there)
  if (change.moment !== undefined && !isSwitched) {
    await goBackToFormer(stack, settings, change)
    return undefined
  }
  if (!isSwitched) {
    changeSettings(change.former.settings)
    if (there && !there.running && there.volume === change.former.volume) await capture(start(there.id))
    // A way back has made nothing, and may be one from a server that does not start.
    if (isKept(change.next)) {
      await startServer(stack).catch((error: unknown) => say.warn(messageOf(error)))
      noteEnd()
      return undefined
    }
    const isLost = await startServer(stack).then(
      () => false,
      (error: unknown) => {
        if (!mayBeLost) throw error
        say.warn(messageOf(error))
        return true
      },
    )
    await discard(stack, settings, change, isLost)
    return undefined
  }
  await removeNewServer(stack.project)
  try {
    await startServer(stack)
  } catch (error) {
    if (change.moment === undefined && !mayBeLost) throw error
    say.warn(messageOf(error))
    if (change.moment === undefined) noteChange(change)
    else say.warn(await goBack(stack, change))
    return undefined
  }
  await finishChange(stack, change, (name, what) => say.step(`${name}: ${what}`)).catch((error: unknown) =>
    say.warn(`an app did not get healthy: ${messageOf(error)}`),
  )
  return change
}

/** The same for who wants to go back: undoing what a killed way back has done would be the opposite of that. */
export async function settleWayBack(stack: Stack, settings: Settings): Promise<Finished | undefined> {
  const { under_way: change } = readUpgradeNote()
  const isWayBack = change !== undefined && isKept(change.next)
  const finished = await recoverChange(stack, settings)
  return isWayBack && finished ? { finished } : undefined
}

/**
 * Starts anew what uses the server, for what that remembers of types is of the former one, and notes the change. Killed
 * before that is noted, the next run does it.
 */
export async function finishChange(stack: Stack, change: ClusterChange, step: (name: string, what: string) => void) {
  try {
    const users = await usersOf(stack, 'postgres')
    step('restart', users.map(({ name }) => name).join(', ') || 'no app runs')
    await restartAll(stack, users)
  } finally {
    noteChange(change)
  }
}
