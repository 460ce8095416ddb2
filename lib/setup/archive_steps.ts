// The steps by which a site that runs gets an archive: any moment can be brought back from then on.
// Long, since the one restart of postgres that it needs is made here, and taken back when it fails.
import { canBeArchived, listBases, makeBase } from '../archive/make_base.ts'
import { findReceiver, isArchived } from '../archive/receiver.ts'
import { newShipMemory } from '../archive/ship_memory.ts'
import { shipOnce } from '../archive/ship.ts'
import { dropIdleSlot, readSlotFacts, type SlotFacts } from '../archive/slot.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { compose, restart } from '../docker/commands.ts'
import { watchService } from '../docker/container_events.ts'
import { isHealthy, listInstances, readInstance } from '../docker/containers.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { openStack } from '../docker/stack.ts'
import { findNginx } from '../nginx/container.ts'
import { pauseRequests } from '../nginx/pause.ts'
import { findServer, inServer, openSessions, type Server, sql } from '../postgres/server.ts'
import { changeSettings } from '../system/env_file.ts'
import { EXIT } from '../system/errors.ts'
import { seconds } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, show } from '../system/run.ts'
import { Scope } from '../system/scope.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { bad, type Finding, good, unknown, warning } from './findings.ts'
import { backupFindings, makeNightly, readBackupFacts } from './nightly_backup.ts'
import type { Step } from './setup.ts'

/** seconds */
const TIMEOUT = 300
const SOCKET = '/pg-work/socket/.s.PGSQL.5432'

const WORD = 'tsx scripts/setup.ts --archive'

/** What is known of the server; nothing of one that does not run: it is fine once it is started. */
export interface ArchiveFacts extends Partial<SlotFacts> {
  /** the service wal can reach it */
  socket: boolean
}

const slotFindings = ({ slot }: ArchiveFacts): Finding[] => {
  if (slot === 'active')
    return [warning('WAL is not on in .env, and the service wal still receives', 'docker compose up -d wal ends it')]
  if (slot !== 'idle') return []
  const what = 'WAL is not on, and the server still keeps up to WAL_KEEP on its disk for the service wal (its slot)'
  return [bad(what, 'the nightly backup lets it go, too', { mend: 'letting it go' })]
}

const withoutArchive = (wal: string | undefined, { version, server = '' }: ArchiveFacts) => {
  if (wal === 'off') return 'WAL=off: what is written between two nights is only in the database'
  if (!canBeArchived(version))
    return `WAL is not set, and cannot be: PostgreSQL is ${server}, and any moment needs 18 or later`
  return (
    `WAL is not set: what is written between two nights is only in the database. ${WORD} keeps it (postgres is ` +
    'started again for it, some seconds)'
  )
}

/** What is said of the archive of a site that is only looked at. */
export function archiveFindings(settings: Pick<Settings, 'WAL'>, facts: ArchiveFacts): Finding[] {
  if (settings.WAL !== 'on') return [...slotFindings(facts), unknown(withoutArchive(settings.WAL, facts))]
  if (!canBeArchived(facts.version)) return [tooOld(facts.server ?? '')]
  if (!facts.socket)
    return [
      bad('postgres was started by former scripts, and the service wal cannot reach it', `${WORD} starts it again`),
    ]
  return [good('what is written to the database is kept as it is written')]
}

/** Asks the server that runs. */
export async function readArchiveFacts(settings: Settings): Promise<ArchiveFacts> {
  try {
    const facts = await readSlotFacts(settings)
    const server = await findServer(settings.COMPOSE_PROJECT_NAME, settings)
    return { ...facts, socket: (await attempt(inServer(server, 'test', '-S', SOCKET))).code === 0 }
  } catch {
    return { socket: true }
  }
}

/** Lets go what nobody receives. */
export async function endArchive(settings: Settings) {
  if (await dropIdleSlot(settings)) say.detail('the server keeps nothing for the service wal any more')
}

const tooOld = (server: string) =>
  bad(
    `PostgreSQL is ${server}, and the archive needs 18 or later`,
    'tsx scripts/postgres_upgrade.ts brings the data to it; or WAL=off in .env: the nightly sets are made with ' +
      'any version',
    { exitCode: EXIT.config },
  )

const restartPostgres = async (project: string, server: Server) => {
  // What is written now need not be written while all wait.
  await sql(await openSessions(server), 'postgres', 'checkpoint')
  const watch = watchService(project, 'postgres')
  try {
    await capture(restart(server.id))
    const { started } = await readInstance(server.id)
    await watch.untilHealthy(server.id, server.name, TIMEOUT, Date.parse(started))
  } finally {
    watch.stop()
  }
}

/**
 * Starts postgres again while requests wait in nginx. Throws a Failure: 75 while a deploy, a backup or a restore
 * runs.
 */
const restartHeld = async () => {
  const settings = loadSettings()
  const stack = await openStack()
  const scope = new Scope()
  try {
    scope.use(await takeDeployLock(true))
    scope.use(await takeDataLock('starting postgres again', true))
    const nginx = await findNginx(stack.project)
    const apps = stack.apps.filter(({ needs }) => needs.includes('postgres')).map(({ service }) => service)
    if (nginx) scope.use(await pauseRequests(nginx, apps))
    const began = performance.now()
    await restartPostgres(stack.project, await findServer(stack.project, settings))
    say.detail(
      `postgres was away for ${seconds(performance.now() - began)}${nginx ? '; requests waited meanwhile' : ''}`,
    )
  } finally {
    await scope.dispose()
  }
}

const startWal = async () => {
  const words = ['up', '--detach', '--no-recreate', '--no-deps', '--wait', 'wal']
  await show(compose(composeFiles(), '--progress', 'plain', ...words), {
    what: 'starting the service wal',
    hint: 'its log says why: scripts/logs.ts wal',
  })
}

const lookAtWal = async ({ COMPOSE_PROJECT_NAME: project }: Settings) => {
  const wal = (await listInstances(project, 'wal')).find(({ oneOff }) => !oneOff)
  if (wal && isHealthy(wal)) return [good('the service wal receives')]
  return [
    bad(`the service wal ${wal ? `is ${wal.health ?? 'stopped'}` : 'is not there'}`, undefined, {
      mend: 'starting it',
    }),
  ]
}

const lookAtBases = async (settings: Settings) => {
  const bases = await listBases(await findReceiver(settings))
  const newest = bases.at(-1)
  if (newest) return [good(`the newest base backup is ${newest.name}`)]
  return [bad('there is no base backup', undefined, { mend: 'making the first one' })]
}

const makeFirst = async () => {
  const settings = loadSettings()
  const work = await takeDataLock('making a base backup', true)
  try {
    await makeBase(settings, work, 'full')
  } finally {
    await work.dispose()
  }
  await shipOnce(settings, newShipMemory())
}

/** All of them. Nothing else of the site is changed. */
export function archiveSteps(): Step[] {
  return [
    {
      name: 'version',
      needs: [],
      look: async () => {
        const { version, server = '' } = await readArchiveFacts(loadSettings())
        return [canBeArchived(version) ? good(`PostgreSQL ${server}`.trim()) : tooOld(server)]
      },
    },
    {
      name: 'setting',
      needs: ['version'],
      look: () =>
        isArchived(loadSettings())
          ? [good('WAL=on in .env')]
          : [bad('WAL is not on in .env', undefined, { mend: 'setting WAL=on' })],
      mend: async () => changeSettings({ WAL: 'on' }),
    },
    {
      name: 'postgres',
      needs: ['setting'],
      look: async () =>
        (await readArchiveFacts(loadSettings())).socket
          ? [good('the service wal can reach it')]
          : [
              bad('it has no socket for the service wal', undefined, {
                mend: 'starting it again: some seconds in which requests wait in nginx',
              }),
            ],
      mend: restartHeld,
    },
    { name: 'wal', needs: ['postgres'], look: () => lookAtWal(loadSettings()), mend: startWal },
    { name: 'base', needs: ['wal'], look: () => lookAtBases(loadSettings()), mend: makeFirst },
    {
      name: 'backups',
      needs: ['setting'],
      look: () => backupFindings(readBackupFacts(loadSettings())),
      mend: finding => makeNightly(loadSettings(), finding),
    },
  ]
}
