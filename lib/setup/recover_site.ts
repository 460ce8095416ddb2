// A site that was lost, from nothing to the one that answers: the machine, the data, the start, the uploaded files.
// Each step leaves alone what is there already, so that it goes on wherever it was stopped.
import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { isArchived } from '../archive/receiver.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { openStack } from '../docker/stack.ts'
import { openFilesRestore } from '../restore/restore_files.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { takeLock } from '../system/lock.ts'
import { say } from '../system/progress.ts'
import { withoutHooks } from '../system/hooks.ts'
import type { Settings } from '../system/settings.ts'
import { archiveSteps } from './archive_steps.ts'
import { bringAll } from './recover_bring.ts'
import { placeDatabase } from './recover_data.ts'
import { forgetRecovery, readRecovery, type RecoveryNote } from '../status/recovery_note.ts'
import type { RecoverPlan } from './recover_plan.ts'
import { isPlaced } from './recover_volume.ts'
import { countAll, otherReleases, type OtherRelease } from './recovered_facts.ts'
import { accompany, setUp, type SetupResult, type Step } from './setup.ts'
import { setupSteps } from './setup_steps.ts'
import { bringUpMigrated, fetchMissing } from './start_stack.ts'

export interface RecoverRequest {
  settings: Settings
  /** undefined when the data are in their place already */
  plan: RecoverPlan | undefined
  keyFile: string | undefined
  /** the bucket as it was then */
  asOf: Date | undefined
  /** hears of each finding of setup */
  found: (result: SetupResult) => void
}

export interface RecoveredSite extends RecoveryNote {
  /** of the site's database */
  tables: Record<string, number>
  /** uploaded files that came back; null when no set has any */
  restored: number | null
  /** the apps of which another commit runs than when that set was made */
  releases: OtherRelease[]
  /** spent in each phase */
  seconds: Record<string, number>
  /** what is not in order then */
  wrong: SetupResult[]
}

// A dump that lies there has nothing to do with it.
const withoutDump = (steps: Step[]) => steps.filter(({ name }) => name !== 'dump')

const prepare = async (found: RecoverRequest['found']) => {
  const results = await setUp(withoutDump(setupSteps({ host: undefined, start: false })), found)
  const [first, ...others] = results.filter(({ level }) => level === 'bad')
  if (!first) return
  const names = [...new Set([first, ...others].map(({ step }) => step))].join(', ')
  throw new Failure(`this machine is not ready: ${names}`, {
    exitCode: first.exitCode ?? EXIT.failed,
    hint: 'nothing was brought yet; the lines above say what to do, then run this again',
  })
}

const underDeployLock = async <T>(work: () => Promise<T>) => {
  const lock = await takeDeployLock(true)
  try {
    return await work()
  } finally {
    await lock.dispose()
  }
}

const bringFiles = async (settings: Settings, name: string | null, keyFile: string | undefined) => {
  if (name === null) return null
  const planned = await openFilesRestore(await openStack(), withoutHooks(settings), { name, keyFile }, true)
  try {
    return (await planned.execute()).count
  } finally {
    await planned.dispose()
  }
}

// Only for a machine that has nothing yet: elsewhere a folder that is missing is a disk that is not mounted.
const makeParent = ({ BACKUP_DIR: folder }: Settings) => {
  const parent = dirname(folder)
  if (existsSync(parent)) return
  mkdirSync(parent, { recursive: true, mode: 0o755 })
  say.warn(
    `${parent} was not there, and is made on this disk: better have a disk of its own mounted there for the backups`,
  )
}

/**
 * Brings the site back. Throws a Failure: what is done by then stays, and running it again goes on.
 */
export async function recoverSite({ settings, plan, keyFile, asOf, found }: RecoverRequest): Promise<RecoveredSite> {
  const lock = await takeLock('recover.lock', () => 'another setup.ts --recover', true)
  const seconds: Record<string, number> = {}
  const timed = async <T>(name: string, what: string, work: () => Promise<T>) => {
    say.step(`${name}: ${what}`)
    const begun = performance.now()
    try {
      return await accompany(work(), spent => `still at it, after ${spent}`)
    } finally {
      seconds[name] = Number(((performance.now() - begun) / 1000).toFixed(1))
    }
  }
  try {
    makeParent(settings)
    await timed('machine', 'what a site needs', () => prepare(found))
    // Docker may only have been installed now, with data of a former one.
    const isThere = await isPlaced(settings)
    if (!isThere && plan) {
      const brought = await timed('fetch', 'what is not in BACKUP_DIR yet', () => bringAll(settings, plan, asOf))
      await timed('images', 'fetched and built', () => underDeployLock(fetchMissing))
      await timed('database', 'from what was brought', () => placeDatabase(settings, brought, keyFile))
    }
    const note = readRecovery()
    if (!note) throw new Failure('another setup.ts --recover has ended meanwhile', { hint: 'scripts/status.ts' })
    await timed('start', 'the database, the migrations of the apps, the rest', () =>
      underDeployLock(async () => {
        const config = await fetchMissing()
        await bringUpMigrated(config, config.name, composeFiles())
      }),
    )
    const tables = await countAll(settings)
    const restored = await timed('files', 'of the newest set', () => bringFiles(settings, note.files, keyFile))
    const steps = withoutDump(setupSteps({ host: undefined, start: true }))
    const results = await timed('setup', 'cron, and a look at all', () => setUp(steps, found))
    if (isArchived(settings))
      results.push(...(await timed('archive', 'begins anew, with a base backup', () => setUp(archiveSteps(), found))))
    const releases = await otherReleases(settings, note.files)
    forgetRecovery()
    return { ...note, tables, restored, releases, seconds, wrong: results.filter(({ level }) => level === 'bad') }
  } finally {
    await lock.dispose()
  }
}
