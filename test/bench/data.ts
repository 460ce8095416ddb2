// Backup and restore of two databases of more than 1 GB, against the commands of the old scripts, in turn on the same
// data.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { docker } from '../../lib/docker/commands.ts'
import { attempt, capture } from '../../lib/system/run.ts'
import { say } from '../../lib/system/progress.ts'
import { size } from '../../lib/system/format.ts'
import { figuresOf, median, medianOf, type Outcome } from './figures.ts'
import { TSX } from './deploy.ts'
import { type Ran, run } from './script.ts'
import { underLoad } from './under_load.ts'
import { statsOf } from '../load/report.ts'
import type { Site } from './site.ts'
import { ACCOUNT } from '../../lib/postgres/server.ts'
import { listIds } from '../../lib/docker/containers.ts'
import { Failure } from '../../lib/system/errors.ts'

const TIMES = 3

// On the volume: in the container, db/dumps can only be read.
export const OLD_DUMP = '/var/lib/postgresql/old.dump'

const fillOf = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8')

export const FILL = fillOf('application.sql')
const TWO_TABLES = fillOf('two_tables.sql')

// It would begin when it likes, with what the run before has filled.
export const QUIET = 'alter system set autovacuum = off; select pg_reload_conf();'

interface Backup {
  folder: string
  seconds: Record<string, number>
}

interface Restore {
  swap: number
  interruption: number
}

// Not by its name: a rollout gives the next instance another one.
const idOf = async ({ project }: Site, service: string) => {
  const [id] = await listIds(project, service)
  if (id !== undefined) return id
  throw new Failure(`no container of ${service} is there`)
}

/** A command in the site's postgres. */
export async function inPostgres(site: Site, ...words: string[]) {
  return docker('exec', '--interactive', '--user', ACCOUNT, await idOf(site, 'postgres'), ...words)
}
export const login = ['-U', 'avril', '-d', 'avril']

/** What the site's database answers to SQL: tuples alone. */
export async function ask(site: Site, input: string) {
  return capture(await inPostgres(site, 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', ...login), { input })
}

/** Gives the site a folder for its backups, beside it. */
export function setBackups(site: Site, settings: Record<string, string> = {}) {
  const sets = join(site.folder, '..', 'sets')
  mkdirSync(sets, { recursive: true })
  site.set({ BACKUP_DIR: `'${sets}'`, ...settings })
}

/** The same with the archive, whose service is up then. */
export async function startArchive(site: Site) {
  setBackups(site, { WAL: 'on' })
  const up = docker('compose', '--ansi', 'never', 'up', '--detach', '--no-recreate', '--wait', 'wal')
  await capture(up, { cwd: site.folder })
}

const timed = async (work: () => Promise<unknown>) => {
  const since = performance.now()
  await work()
  return (performance.now() - since) / 1000
}

const backups = async (site: Site) => {
  const old: number[] = []
  const ours: Ran<Backup>[] = []
  for (let index = 1; index <= TIMES; index += 1) {
    say.step(`backup ${index} of ${TIMES}, the old one and ours`)
    const dump = await inPostgres(site, 'pg_dump', ...login, '-F', 'c', '-f', OLD_DUMP)
    old.push(await timed(() => capture(dump)))
    ours.push(await run<Backup>(site, 'backup', '--no-files'))
  }
  const bytes = (file: string) => statSync(file).size
  const [last] = ours.slice(-1)
  return {
    old,
    ours,
    sizes: {
      old: Number(await capture(await inPostgres(site, 'stat', '--format=%s', OLD_DUMP))),
      ours: bytes(join(last?.result.folder ?? '', 'database.dump')),
    },
  }
}

/** Seconds of the old script's words; it stops phoenix before and starts it afterwards. */
export function oldRestore(site: Site) {
  return timed(async () => {
    const phoenix = await idOf(site, 'phoenix')
    await capture(docker('stop', phoenix))
    // It ends with 1 when it ignored an error; the old script then left phoenix stopped.
    await attempt(await inPostgres(site, 'pg_restore', '--clean', '--no-acl', '--no-owner', ...login, OLD_DUMP))
    await capture(docker('start', phoenix))
  })
}

// What the run before has left must not slow down the next: what is still to be written, and the former database, which
// a later backup would remove.
const SETTLE = String.raw`
select format('drop database %I', datname) from pg_database where datname like 'avril\_before\_%' \gexec
checkpoint;
`
/** Ends what the run before has left to do. */
export async function settle(site: Site) {
  return capture(await inPostgres(site, 'psql', '-qX', ...login), { input: SETTLE })
}

const restores = async (site: Site) => {
  const old: number[] = []
  const ours: Ran<Restore>[] = []
  for (let index = 1; index <= TIMES; index += 1) {
    say.step(`restore ${index} of ${TIMES}, ours and the old one`)
    await settle(site)
    ours.push(await run<Restore>(site, 'backup_restore', '--yes'))
    await settle(site)
    old.push(await oldRestore(site))
  }
  return { old, ours }
}

/** A restore while visitors come: requests may wait, and none may fail. */
const visited = async (site: Site) => {
  await settle(site)
  // The app is restarted, and with it whoever has a websocket.
  const load = { rate: 50, rates: { websocket: 0 }, timeout: 60_000 }
  const { report } = await underLoad(site, load, async ({ doing }) => {
    doing('a restore')
    await run<Restore>(site, 'backup_restore', '--yes')
  })
  return statsOf(report.rows)
}

const UPLOADS = 100

/**
 * The memory of a backup to a public key with 200 MB of uploaded files that no set has yet, and of bringing back all of
 * it.
 */
const encrypted = async (site: Site) => {
  say.step('an encrypted backup and its restore, with uploaded files')
  const { generateX25519Identity, identityToRecipient } = await import('age-encryption')
  const identity = await generateX25519Identity()
  const key = join(site.folder, 'key.txt')
  writeFileSync(key, `${identity}\n`, { mode: 0o600 })
  site.set({ BACKUP_RECIPIENTS: await identityToRecipient(identity) })
  const uploads = Array.from({ length: UPLOADS }, (_, index) =>
    JSON.stringify({ key: `cv-${index}`, bytes: 2_000_000 }),
  )
  const objects = (action: string, input = '') =>
    capture([process.execPath, TSX, join(site.folder, 'test', 'helpers', 'objects.ts'), action], {
      cwd: site.folder,
      input,
    })
  await objects('put', uploads.join('\n'))
  const saved = await run<{ name: string }>(site, 'backup')
  await objects('empty')
  const restored = await run(site, 'backup_restore', '--yes', '--files', '--key', key, saved.result.name)
  site.set({ BACKUP_RECIPIENTS: '' })
  return [saved.peak, restored.peak]
}

const EMPTY = `drop schema public cascade; create schema public;`

/** With the database of an application. */
export async function data(site: Site) {
  return measure(site, 'data', FILL)
}

/** With two large tables. */
export async function tables(site: Site) {
  return measure(site, 'tables', TWO_TABLES)
}

const measure = async (site: Site, name: string, fill: string): Promise<Outcome> => {
  const figures = figuresOf(name)
  setBackups(site)
  say.step('filling the database')
  await capture(await inPostgres(site, 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', ...login), {
    input: EMPTY + fill + QUIET,
  })
  const bytes = Number(await ask(site, `select pg_database_size('avril')`))
  const saved = await backups(site)
  const restored = await restores(site)
  const visits = await visited(site)
  const sealed = await encrypted(site)
  const [old, ours] = [median(restored.old), medianOf(restored.ours, ({ wall }) => wall)]
  const [before, with_, without] = [
    median(saved.old),
    medianOf(saved.ours, ({ wall }) => wall),
    medianOf(saved.ours, ({ wall, result }) => wall - (result.seconds.verify ?? 0)),
  ]
  const peak = Math.max(...[...restored.ours, ...saved.ours].map(it => it.peak))
  return {
    figures: [
      figures.plain('the database', size(bytes)),
      figures.plain('pg_dump -F c, as the old scripts (median)', `${before.toFixed(1)} s, ${size(saved.sizes.old)}`),
      figures.plain('backup.ts, verification included (median)', `${with_.toFixed(1)} s, ${size(saved.sizes.ours)}`),
      figures.most('  time against the old one', with_ / before, 1, '×'),
      figures.most('  size against the old one', saved.sizes.ours / saved.sizes.old, 1, '×'),
      figures.most('  time without the verification against the old one', without / before, 0.67, '×'),
      figures.plain('pg_restore --clean in place: time, all of it without service (median)', `${old.toFixed(1)} s`),
      figures.plain('backup_restore.ts, proof and comparison included (median)', `${ours.toFixed(1)} s`),
      figures.most('  time against the old one', ours / old, 1, '×'),
      figures.most(
        '  time without service: the swap',
        medianOf(restored.ours, ({ result }) => result.swap),
        2,
        's',
      ),
      figures.plain(
        "  the same with the app's restart",
        `${medianOf(restored.ours, ({ result }) => result.interruption).toFixed(1)} s`,
      ),
      figures.most(`requests lost at 50 a second, of ${visits.sent}`, visits.failed, 0, '', 0),
      figures.plain('  the longest of them', `${(visits.max / 1000).toFixed(1)} s`),
      figures.most('peak memory of the scripts', peak, 150, 'MB', 0),
      figures.most('  encrypting and decrypting, with 200 MB of uploaded files', Math.max(...sealed), 150, 'MB', 0),
    ],
    details: { ...saved, restored, visits, sealed },
  }
}
