// Makes a backup set: dumped, verified, then published by one rename. Until then it is a folder that the next run removes.
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { freeSpace, noSpace, prepareFolder } from './backup_folder.ts'
import type { DataWork } from './data_lock.ts'
import { readDump, type Dump } from './dump.ts'
import { EXIT, Failure, messageOf } from './errors.ts'
import { replaceFile } from './files.ts'
import { digest, writeOutput } from './large_files.ts'
import { who } from './history.ts'
import { listInstances } from './instances.ts'
import { inServer, type Server } from './postgres.ts'
import { say, size } from './say.ts'
import { countRows, openSnapshot, readFacts, type Facts } from './snapshot.ts'
import { listSets, partialOf, setName, type BackupSet, type Manifest } from './sets.ts'
import type { Stack } from './stack.ts'

export const DUMP = 'database.dump'
export const GLOBALS = 'globals.sql'

export interface BackupRequest {
  stack: Stack
  server: Server
  /** BACKUP_DIR */
  folder: string
  /** what the set's name begins with */
  prefix: string
  work: DataWork
}

// zstd is quicker and smaller than gzip; pg_dump has it since 16.
const compression = ({ number }: Facts) => (number >= 160_000 ? 'zstd:3' : '6')

const dump = async ({ server }: BackupRequest, snapshot: string, facts: Facts, file: string, estimate: number | undefined) => {
  const words = ['--format=custom', `--compress=${compression(facts)}`, '--create', '--no-password', '--lock-wait-timeout=60s', `--snapshot=${snapshot}`]
  const command = inServer(server, 'pg_dump', ...words, `--username=${server.user}`, `--dbname=${server.database}`)
  const hint = 'no set was made; the lines above are of pg_dump. A deploy that migrates at this moment holds its tables: run it again later'
  await writeOutput(command, file, { what: 'pg_dump', hint, estimate })
}

/** The rows of each table in the very snapshot that the dump is made of. */
const dumpAndCount = async (request: BackupRequest, facts: Facts, file: string, estimate: number | undefined) => {
  const { server } = request
  const snapshot = await openSnapshot(server)
  try {
    const [tables] = await Promise.all([countRows(server, server.database, snapshot.id), dump(request, snapshot.id, facts, file, estimate)])
    if (Object.keys(tables).length > 0) return tables
    throw new Failure('the database has no table, so there is nothing to back up', { exitCode: EXIT.data, hint: 'no set was made; was the database emptied? scripts/psql.ts' })
  } finally {
    await snapshot.release()
  }
}

const dumpGlobals = ({ server }: BackupRequest, file: string) =>
  writeOutput(inServer(server, 'pg_dumpall', '--globals-only', '--no-password', `--username=${server.user}`), file, { what: 'pg_dumpall --globals-only' })

/** Compares what was read from a dump with what the database had. Throws a Failure (65) with the tables that differ. */
export const compareTables = (had: Record<string, number>, { tables }: Dump) => {
  const differing = Object.entries(had).filter(([table, rows]) => tables[table] !== rows)
  if (differing.length === 0) return
  const shown = differing.slice(0, 5).map(([table, rows]) => `${table}: ${tables[table] ?? 'no'} rows in the dump, ${rows} in the database`)
  throw new Failure([`the dump is not what the database had (${differing.length} tables differ)`, ...shown].join('\n  '), {
    exitCode: EXIT.data,
    hint: 'no set was made; run it again, and if it happens again look at the log of postgres',
  })
}

const warnOfLoss = (manifest: Manifest, former: BackupSet | undefined) => {
  const [now, before] = [manifest, former].map(it => it?.files[DUMP]?.bytes ?? 0) as [number, number]
  if (now * 2 < before) say.warn(`the dump is ${size(now)}, and that of ${former?.name} was ${size(before)}: was so much removed?`)
}

const releasesOf = async ({ project, apps }: Stack) => {
  const instances = await listInstances(project)
  const live = apps.flatMap(({ service }) => instances.find(it => it.service === service && it.running && !it.oneOff) ?? [])
  return Object.fromEntries(live.map(({ service, image }) => [service, image]))
}

const syncFolder = (folder: string) => {
  const descriptor = openSync(folder, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}

/** Makes a set and gives it. Throws a Failure that says what went wrong; then nothing new has a set's name, and what was there is untouched. */
export const makeSet = async (request: BackupRequest): Promise<BackupSet> => {
  const { server, folder, prefix, work } = request
  const former = listSets(folder).sets[0]
  work.step('check', `${server.database} on ${server.name}, and ${folder}`)
  prepareFolder(folder, former)
  const facts = await readFacts(server)
  const started = new Date()
  const target = join(folder, setName(prefix, started))
  const partial = partialOf(target)
  mkdirSync(partial, { mode: 0o700 })
  try {
    const manifest = await fill(request, partial, facts, former, started)
    warnOfLoss(manifest, former)
    renameSync(partial, target)
    syncFolder(folder)
    return { ...manifest, folder: target }
  } catch (error) {
    const full = freeSpace(folder) < 1_000_000
    rmSync(partial, { recursive: true, force: true })
    throw full ? noSpace(`${folder} is full: ${messageOf(error)}`) : error
  }
}

const fill = async (request: BackupRequest, partial: string, facts: Facts, former: BackupSet | undefined, started: Date): Promise<Manifest> => {
  const { stack, server, work } = request
  const file = join(partial, DUMP)
  work.step('dump', `${server.database} (${size(facts.bytes)} in the database)`)
  const tables = await dumpAndCount(request, facts, file, former?.files[DUMP]?.bytes)
  await dumpGlobals(request, join(partial, GLOBALS))
  work.step('verify', 'reading all of it back, and comparing the rows of each table')
  const [read, ofDump, ofGlobals] = await Promise.all([readDump(server, file), digest(file), digest(join(partial, GLOBALS))])
  compareTables(tables, read)
  const manifest: Manifest = {
    version: 1,
    name: setName(request.prefix, started),
    made: started.toISOString(),
    host: hostname(),
    who: who(),
    database: { name: server.database, server: facts.server, extensions: facts.extensions, tables },
    releases: await releasesOf(stack),
    files: { [DUMP]: ofDump, [GLOBALS]: ofGlobals },
    objects: { count: 0, bytes: 0 },
    seconds: work.seconds(),
  }
  replaceFile(join(partial, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
  syncFolder(partial)
  return manifest
}
