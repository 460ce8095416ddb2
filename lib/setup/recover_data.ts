// The database of a site that was lost, given what has been brought: to a volume that nobody has begun yet.
import { positionOf } from '../archive/positions.ts'
import { endsEarly } from '../archive/reach.ts'
import { chosenUpTo, stageChain } from '../archive/stage_chain.ts'
import { publishSet } from '../backup/publish_set.ts'
import { compose } from '../docker/commands.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { admin } from '../postgres/databases.ts'
import { openRecovered, type RecoveryTarget, settleRecovered } from '../postgres/recovered.ts'
import { loginsOf } from '../postgres/server.ts'
import { majorOf } from '../postgres/server_image.ts'
import { audit } from '../system/audit.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import { momentText } from '../system/site_time.ts'
import { Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { noteRecovery } from '../status/recovery_note.ts'
import type { Brought } from './recover_bring.ts'
import type { ChainThere } from './recover_plan.ts'
import { imageOfPostgres, volumeOf } from './recover_volume.ts'

const placeArchive = async (
  settings: Settings,
  { chain, reach, server: of }: ChainThere,
  moment: Date | undefined,
  keyFile: string | undefined,
) => {
  const { COMPOSE_PROJECT_NAME: project } = settings
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('recovering', true))
    const image = await imageOfPostgres()
    const version = Number.parseInt(of)
    if ((await majorOf(image)) !== version)
      throw badConfig(
        `the archive is of PostgreSQL ${version}, and the image of postgres (${image}) is not`,
        `nothing was touched; name an image of PostgreSQL ${version} in .env (POSTGRES_IMAGE), as the lost server ` +
          'had it',
      )
    // By Compose, so that it is its own; what is not complete in it start.sh takes for nothing.
    await capture(compose(composeFiles(), '--progress', 'quiet', 'create', '--no-build', '--no-recreate', 'postgres'), {
      what: 'making the volume of postgres',
    })
    const chosen = chosenUpTo(settings, chain, reach, moment)
    const staged = scope.use(await stageChain({ settings, image, keyFile }, chosen))
    work.step('recover', 'the base backups and the WAL become the database')
    const origin = { project, image, logins: loginsOf(settings), folder: staged.folder, volume: volumeOf(settings) }
    const target: RecoveryTarget = moment ? { kind: 'time', time: moment } : { kind: 'end' }
    const recovered = scope.use(await openRecovered(origin, target, async () => ({ bases: staged.bases })))
    const { server, kept, last } = recovered
    const isShort = !moment && endsEarly(reach.end, positionOf(last) ?? reach.end, staged.segment)
    const found = await admin(server, `select count(*) from pg_database where datname = :'name'`, {
      name: server.database,
    })
    if (found !== '1')
      throw new Failure(`there is no database ${server.database} in the archive`, {
        exitCode: EXIT.config,
        hint:
          'nothing was put in place; is POSTGRES_DB in .env that of the lost site? Its server has: ' +
          (await admin(server, 'select string_agg(datname, $$, $$) from pg_database where not datistemplate')),
      })
    await settleRecovered(server, chain)
    return { kept, isShort }
  } finally {
    await scope.dispose()
  }
}

// Each file was what it had been; what PostgreSQL does not take of it no other copy makes good.
const orBySet = (error: unknown): never => {
  if (!(error instanceof Failure) || error.exitCode !== EXIT.data) throw error
  throw new Failure(error.message, {
    exitCode: error.exitCode,
    cause: error,
    hint: [
      error.hint,
      'an earlier moment may come back (--at), and so does the newest set (docs/disaster-recovery.md, By hand)',
    ]
      .filter(Boolean)
      .join('; '),
  })
}

/**
 * Has the database come back: by an archive its data are in their place then; of a set its dump is where the first
 * start of postgres restores it. Throws a Failure: 64, 65 and 74 as a recovery does, 78 for an image of another
 * version.
 */
export async function placeDatabase(settings: Settings, { plan, incomplete }: Brought, keyFile: string | undefined) {
  const { database, at, lost } = plan
  const name = database.kind === 'archive' ? database.chain.chain : database.set.name
  const note = { kind: database.kind, name, at, kept: null, files: plan.files?.name ?? null, lost, incomplete }
  audit('recovering the site', note)
  noteRecovery(note)
  if (database.kind === 'set') {
    await publishSet({ settings, name, keyFile, wait: true })
    return
  }
  const moment = plan.isPast ? new Date(at) : undefined
  const { kept, isShort } = await placeArchive(settings, database.chain, moment, keyFile).catch(orBySet)
  const end = kept ? ` after ${momentText(kept)}` : ''
  const short =
    `what was committed${end}: PostgreSQL takes what follows in the WAL for damaged, though it came as it was ` +
    'shipped'
  if (isShort) say.warn(`lost: ${short}`)
  noteRecovery({ ...note, kept: kept?.toISOString() ?? null, lost: isShort ? [short, ...lost] : lost })
}
