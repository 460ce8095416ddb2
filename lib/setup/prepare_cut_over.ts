// What can be done before the old site is stopped: images, files, a dump, and a trial with it.
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { compose } from '../docker/commands.ts'
import { engineFolder } from '../docker/engine.ts'
import { composeFiles } from '../docker/release_pins.ts'
import type { StackConfig } from '../docker/stack_config.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { freeSpace } from '../system/disk_space.ts'
import { size } from '../system/format.ts'
import { root } from '../system/checkout.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { say } from '../system/progress.ts'
import { attempt, show } from '../system/run.ts'
import { shielded } from '../system/signals.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { filesToBring, type Mirrored, mirrorOld } from './old_objects.ts'
import { dumpOld, oldDatabaseSize, type OldStack, otherDatabases, readOldStack } from './old_stack.ts'
import { takenPorts } from './ports.ts'
import { readNote, refuseForData, tellKilled } from './cut_over_note.ts'
import { certificateFindings } from './certificates.ts'
import { bringCertificate } from './old_certificate.ts'
import { type Forwarding, prepareForwarder } from './forwarder.ts'
import type { OldMachine } from './old_machine.ts'
import { accompany } from './setup.ts'
import { fetchMissing } from './start_stack.ts'
import { type FirstStart, tryStack } from './trial.ts'

/** What is known before the old site is stopped. */
export interface CutOver {
  old: OldStack
  /** what the old stack has besides, and is not brought: other databases and buckets */
  left: string[]
  /** how the machine of the old site hands on to this one; undefined when that is this one */
  forwarding: Forwarding | undefined
  settings: Settings
  config: StackConfig
  /** in seconds: the dump that was made while the old site served */
  dumped: number
  /** in seconds: its restore and the start of the apps, and the pages that they showed */
  trial: { seconds: number; pages: string[]; restored: FirstStart }
  files: Mirrored
}

/** What a disk keeps free for what else is written meanwhile, in bytes. */
const RESERVE = 500_000_000

const timed = async (work: () => Promise<unknown>) => {
  const since = performance.now()
  await work()
  return (performance.now() - since) / 1000
}

/** Throws a Failure (78) for a certificate that browsers would refuse, or none where the old site has one. */
const proveCertificate = async (old: OldStack, settings: Settings) => {
  const brought = await bringCertificate(old, settings)
  if (brought !== undefined)
    say.warn(`the certificate of the old site is in ${brought} now; what renews it there does not renew it here`)
  for (const { level, text, hint } of certificateFindings(settings)) {
    if (level === 'bad') throw badConfig(text, `nothing was changed. ${hint}`)
    if (level === 'warning') say.warn(`certificate: ${text}`)
  }
}

/**
 * A first copy of all fits beside the old site, whose database a full disk would stop. In bytes: the dump, at most as
 * large as the database; a copy of it and the database itself, in a volume; the files. Throws a Failure (74).
 */
const proveSpace = async (database: number, files: number) => {
  const engine = await engineFolder()
  mkdirSync(DUMPS, { recursive: true, mode: 0o700 })
  const wanted = [
    { folder: DUMPS, bytes: database },
    { folder: existsSync(engine) ? engine : root, bytes: 2 * database + files },
  ]
  for (const { folder } of wanted) {
    const device = statSync(folder).dev
    const bytes = wanted.filter(it => statSync(it.folder).dev === device).reduce((sum, it) => sum + it.bytes, RESERVE)
    if (freeSpace(folder) < bytes)
      throw new Failure(`${size(freeSpace(folder))} are free in ${folder}, and the takeover wants ${size(bytes)}`, {
        exitCode: EXIT.noSpace,
        hint:
          `nothing was changed. The database of the old site has ${size(database)}, files to copy ${size(files)}; ` +
          'docker system df shows what the engine holds',
      })
  }
}

/**
 * Does all that can be done while the old site serves: images are fetched and built, the files are copied, a dump is
 * made, and this stack shows its pages with it, which tells how long the cutover takes. Throws a Failure; the old site
 * is as it was.
 */
export async function prepareCutOver(machine: OldMachine): Promise<CutOver> {
  const settings = loadSettings()
  const old = await readOldStack(machine)
  if (old.project === settings.COMPOSE_PROJECT_NAME)
    throw badConfig(
      `the old stack and this one are both the Compose project ${old.project}`,
      'give this one another COMPOSE_PROJECT_NAME in .env',
    )
  const lock = await takeDeployLock(true)
  try {
    tellKilled(machine.name)
    await refuseForData(settings)
    const config = await fetchMissing()
    const taken = await takenPorts(config, machine.host === undefined ? [old.project, config.name] : [config.name])
    if (taken.length > 0)
      throw badConfig(
        taken.join(', and '),
        'nothing was changed; stop that, or set other ports in .env (NGINX_PORT, NGINX_TLS_PORT)',
      )
    await proveCertificate(old, settings)
    const files = await filesToBring(old)
    await proveSpace(await oldDatabaseSize(old), files.bytes)
    const left = [
      ...(await otherDatabases(old)).map(name => `the database ${name}`),
      ...files.otherBuckets.map(name => `the bucket ${name}`),
    ]
    const forwarding = await prepareForwarder(old, config)
    return { old, left, forwarding, settings, config, ...(await rehearse(old, settings, config)) }
  } finally {
    await lock.dispose()
  }
}

/** Only under the deploy lock. After a cutover it is the minio of the live site, and runs on. */
const stopMinio = async () => {
  if (readNote() === undefined) await attempt(compose(composeFiles(), 'stop', 'minio'))
}

/** Copies the files, dumps the database, and tries this stack out with that. */
const rehearse = async (old: OldStack, settings: Settings, config: StackConfig) => {
  const words = ['--progress', 'plain', 'up', '--detach', '--no-build', '--no-deps', '--wait', 'minio']
  try {
    say.step('files: a first copy, while the old site serves')
    await show(compose(composeFiles(), ...words), { what: 'starting minio' })
    const files = await accompany(mirrorOld(old, settings, false), spent => `still copying, after ${spent}`)
    say.step('dump: a first one, which tells how long it takes')
    const dumped = await timed(() => accompany(dumpOld(old), spent => `still dumping, after ${spent}`))
    say.step('trial: this stack with that dump, reached by nobody, until each app shows a page')
    return { files, dumped, trial: await tryStack(config) }
  } catch (error) {
    await shielded(stopMinio)
    throw error
  }
}

/** Stops what was started for a cutover that does not come; nothing when another one has come meanwhile. */
export async function stopPrepared() {
  const underLock = async () => {
    const lock = await takeDeployLock(false).catch(() => undefined)
    if (lock === undefined) return
    await stopMinio()
    await lock.dispose()
  }
  await shielded(underLock)
}
