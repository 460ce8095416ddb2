// The change from the old stack to this one, when all that can be done before has been done: the old apps are stopped,
// the last rows and files are brought, and this stack takes the ports. Nothing of the old one is removed.
// Long, since what is done between the two sites, and undone when it fails, has to be read together.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { compose, docker, removeContainers } from '../docker/commands.ts'
import { listInstances } from '../docker/containers.ts'
import { readConfig, type StackConfig } from '../docker/stack_config.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { detailsOf, Failure, messageOf } from '../system/errors.ts'
import { together } from '../system/concurrency.ts'
import { root } from '../system/checkout.ts'
import { changeSettings } from '../system/env_file.ts'
import { replaceFile } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, show } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import { stateFile } from '../system/state_folder.ts'
import { startForwarder, removeForwarder } from './forwarder.ts'
import { type OldMachine, reopened } from './old_machine.ts'
import { type Mirrored, mirrorOld } from './old_objects.ts'
import { dumpOld, readOldStack } from './old_stack.ts'
import { forgetCutOver, type Note, readCutOver, readNote, refuseForData, writeNote } from './cut_over_note.ts'
import { keepFromStarting, keptOf, proveThere, startOld, stopOld } from './old_containers.ts'
import type { CutOver } from './prepare_cut_over.ts'
import { accompany } from './setup.ts'
import { bringUpMigrated } from './start_stack.ts'
import { NOTHING, provePages, readFirstStart, type FirstStart } from './trial.ts'

const ours = (...words: string[]) => compose(composeFiles(), ...words)

const isProxy = (service: string) => service === 'nginx'
const rank = (service: string) => Number(isProxy(service)) - Number(isData(service))
const isData = (service: string) => ['postgres', 'minio'].includes(service)

// nginx shows it in the place of its page for "momentarily unavailable" (nginx/errors.conf).
const MOVING = join(root, 'nginx/live/50x.html')

/** Starts nginx alone, which shows visitors a page that says so. */
const showMoving = async () => {
  replaceFile(MOVING, readFileSync(join(root, 'nginx/errors/moving.html'), 'utf8'))
  await show(ours('--progress', 'plain', 'up', '--detach', '--no-build', '--no-deps', 'nginx'), {
    what: 'starting nginx',
  })
}

const hideMoving = () => rmSync(MOVING, { force: true })

/** Compose that was started by a cutover which was killed may still be at work, and starts things again. */
const stopOurs = async ({ name }: StackConfig) => {
  const stop = ours('--progress', 'plain', 'stop')
  await capture(stop, { what: 'stopping this stack' })
  const runs = (await listInstances(name)).filter(({ oneOff }) => oneOff).map(({ id }) => id)
  if (runs.length > 0) await capture(removeContainers(runs))
  await capture(['flock', stateFile('start.lock'), ...stop], { what: 'stopping this stack' })
}

/** The line to another machine comes first: as long as it is lost, visitors keep what they have. */
const giveBack = async (machine: OldMachine, { stopped, forwarder }: Note) => {
  say.step('back: this stack is stopped, and the old one started')
  if (forwarder !== undefined) await removeForwarder(machine, forwarder)
  hideMoving()
  await stopOurs(await readConfig(composeFiles()))
  await startOld(machine, stopped)
  if (forwarder !== undefined) changeSettings({ FORWARDED_FROM: '' })
}

// The old phoenix did its migrations at each start.
const startMigrated = (config: StackConfig) => {
  say.step(`start: ${Object.keys(config.services).join(', ')}`)
  return bringUpMigrated(config, config.name, composeFiles())
}

/** Whether phoenix was up here since a time (ISO 8601): then a visitor may have written something. */
const hasServed = async ({ name }: StackConfig, since: string) =>
  (await listInstances(name, 'phoenix')).some(({ started }) => started > since)

/** What a failed cutover has restored would be in the way of the next one. */
const dropRestored = async ({ COMPOSE_PROJECT_NAME: project, POSTGRES_VOLUME }: Settings) => {
  await capture(ours('rm', '--stop', '--force', 'postgres'), { what: 'removing what was restored' })
  await attempt(docker('volume', 'rm', '--force', POSTGRES_VOLUME ?? `${project}_postgres`))
}

/** What a cutover came to: the time without service in seconds, and what is here now. */
export interface Done {
  seconds: number
  files: Mirrored
  restored: FirstStart
}

/** The last rows and files are brought, and this stack starts and shows its pages: on the ports of the old one. */
const changePlaces = async ({ old, settings, config, forwarding }: CutOver, { stopped }: Note) => {
  const { machine, oneOffs } = old
  const idsOf = (wanted: (service: string) => boolean) =>
    old.instances.filter(it => it.running && wanted(it.service)).map(({ id }) => id)
  // To nginx all who are handed on are one visitor.
  if (forwarding?.comesFrom) changeSettings({ FORWARDED_FROM: forwarding.comesFrom })
  await keepFromStarting(machine, [...stopped, ...oneOffs.map(keptOf)])
  say.step('stop: the old apps; from here on visitors get a page that says that the site is back soon')
  // nginx first, and soon after it a page. The apps have no visitor then, and many of them do not hear SIGTERM.
  if (forwarding) await showMoving()
  await stopOld(machine, idsOf(isProxy), 10)
  await (forwarding ? startForwarder(machine, forwarding) : showMoving())
  const writers = [...idsOf(service => !isProxy(service) && !isData(service)), ...oneOffs.map(({ id }) => id)]
  await stopOld(machine, writers, 3)
  say.step('dump: the last one, and the files that came meanwhile')
  const last = together<[void, Mirrored]>(() => [dumpOld(old), mirrorOld(old, settings, true)])
  const [, files] = await accompany(last, spent => `still at it, after ${spent}`)
  await startMigrated(config)
  await provePages(config, config.name)
  const restored = await readFirstStart(config.name)
  if (restored.compared === NOTHING)
    throw new Failure('postgres does not say that it has restored the dump', { hint: 'scripts/logs.ts postgres' })
  return { files, restored }
}

/** What a failure in the middle comes to: the old site serves again. Throws the Failure with that. */
const comeBack = async ({ old, settings, config }: CutOver, note: Note, error: unknown): Promise<never> => {
  const back = async () => {
    const machine = await reopened(old.machine)
    try {
      await giveBack(machine, note)
    } finally {
      if (machine !== old.machine) await machine.dispose()
    }
    forgetCutOver()
    const served = await hasServed(config, note.time).catch(() => true)
    if (served)
      return 'the old site was started again; what visitors wrote meanwhile stays in the database of this stack'
    await dropRestored(settings).catch(problem => say.warn(`what was restored is still here: ${messageOf(problem)}`))
    return 'the old site was started again, and has all that it had'
  }
  const end = await shielded(back).catch(
    (again: unknown) =>
      `the old site could not be started again (${messageOf(again)}): tsx scripts/setup.ts --from ` +
      `${old.machine.name} --back`,
  )
  const hint = [detailsOf(error).hint, end].filter(Boolean).join('; ')
  throw new Failure(`the cutover failed: ${messageOf(error)}`, { ...detailsOf(error), hint })
}

/** The site is here: what fails from now on is no reason to go back. */
const stopData = async ({ old }: CutOver) => {
  const ids = old.instances.filter(({ running, service }) => running && isData(service)).map(({ id }) => id)
  try {
    await shielded(() => stopOld(old.machine, ids, 120))
  } catch (error) {
    say.warn(`the old postgres and minio still run, which does no harm: ${messageOf(error)}`)
  }
}

/**
 * Gives the site to this stack, and gives the seconds without service, and the files. What has changed since it was
 * prepared is looked at again. When it fails, the old stack is started again, and then throws the Failure; 75 when
 * another command is at work here, before anything is touched.
 */
export async function cutOver(prepared: CutOver): Promise<Done> {
  const lock = await takeDeployLock(false)
  try {
    await refuseForData(prepared.settings)
    // A container may have been made anew since then.
    const now = { ...prepared, old: await readOldStack(prepared.old.machine) }
    const { old } = now
    // What a cutover that was killed has stopped belongs to the old site, too.
    const former = new Map(readNote()?.stopped.map(it => [it.id, it]))
    // In the order in which they are started again: an old nginx may need the names of the apps.
    const stopped = old.instances
      .filter(({ id, running }) => running || former.has(id))
      .toSorted((a, b) => rank(a.service) - rank(b.service))
      .map(it => former.get(it.id) ?? keptOf(it))
    const time = new Date().toISOString()
    const note: Note = { time, folder: old.machine.name, stopped, forwarder: prepared.forwarding?.name }
    writeNote(note)
    const since = performance.now()
    const brought = await changePlaces(now, note).catch((error: unknown) => comeBack(now, note, error))
    const seconds = (performance.now() - since) / 1000
    writeNote({ ...note, done: new Date().toISOString() })
    hideMoving()
    await stopData(now)
    return { seconds, ...brought }
  } finally {
    await lock.dispose()
  }
}

/**
 * Stops this stack, and starts what the cutover stopped, which is given. Throws a Failure: 69 when a container of the
 * old stack is gone, 75 when another command is at work here; then nothing was touched.
 */
export async function undoCutOver(machine: OldMachine) {
  const lock = await takeDeployLock(false)
  try {
    const note = readCutOver()
    await proveThere(machine, note.stopped)
    await giveBack(machine, note)
    return note.stopped
  } finally {
    await lock.dispose()
  }
}
