// Makes a backup set: dumped, verified, then published by one rename. Until then it is a folder that the next run removes.
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { compareTables, DUMP, dumpAndCount, dumpGlobals, GLOBALS } from './backup_database.ts'
import { freeSpace, noSpace, prepareFolder } from './backup_folder.ts'
import type { Settings } from './config.ts'
import type { DataWork } from './data_lock.ts'
import { readDump } from './dump.ts'
import { Failure, messageOf } from './errors.ts'
import { replaceFile, sync } from './files.ts'
import { digest } from './large_files.ts'
import { who } from './history.ts'
import { listInstances } from './instances.ts'
import { saveObjects } from './objects.ts'
import type { Server } from './postgres.ts'
import { say, size, transfer } from './say.ts'
import { readFacts, type Facts } from './snapshot.ts'
import { listSets, partialOf, setName, type BackupSet, type Manifest } from './sets.ts'
import type { Stack } from './stack.ts'

export interface BackupRequest {
  stack: Stack
  server: Server
  /** BACKUP_DIR */
  folder: string
  /** what the set's name begins with */
  prefix: string
  /** save the uploaded files too */
  withFiles: boolean
  settings: Settings
  work: DataWork
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

/** Makes a set and gives it. Throws a Failure that says what went wrong; then nothing new has a set's name, and what was there is untouched. */
export const makeSet = async (request: BackupRequest): Promise<BackupSet> => {
  const { server, folder, prefix, work } = request
  const { sets } = listSets(folder)
  const [former] = sets
  work.step('check', `${server.database} on ${server.name}, and ${folder}`)
  prepareFolder(folder, former)
  const facts = await readFacts(server)
  const started = new Date()
  const target = join(folder, setName(prefix, started))
  const partial = partialOf(target)
  mkdirSync(partial, { mode: 0o700 })
  try {
    const manifest = await fill(request, partial, facts, sets, started)
    warnOfLoss(manifest, former)
    renameSync(partial, target)
    sync(folder)
    return { ...manifest, folder: target }
  } catch (error) {
    const full = freeSpace(folder) < 1_000_000
    rmSync(partial, { recursive: true, force: true })
    throw full ? noSpace(`${folder} is full: ${messageOf(error)}`) : error
  }
}

// After the database: a file that a row names was there before the row.
const saveFiles = async ({ stack, settings, withFiles, work }: BackupRequest, folder: string, sets: BackupSet[]) => {
  if (!withFiles) return null
  const former = sets.find(({ objects }) => objects)
  work.step('files', 'those that were uploaded to minio; what the last set has is linked')
  let sofar = 0
  const progress = transfer(() => sofar, former?.objects?.bytes)
  try {
    const { count, bytes, fetched } = await saveObjects({ stack, settings, folder, former: former?.folder, onProgress: saved => (sofar = saved.bytes) })
    say.detail(`${count} files, ${fetched} of them new`)
    return { count, bytes }
  } catch (error) {
    const { message, exitCode, hint = 'run it again' } = error instanceof Failure ? error : new Failure(messageOf(error))
    throw new Failure(message, { exitCode, cause: error, hint: `${hint}. Or save the database alone: scripts/backup.ts --no-files` })
  } finally {
    progress.end()
  }
}

const fill = async (request: BackupRequest, partial: string, facts: Facts, sets: BackupSet[], started: Date): Promise<Manifest> => {
  const { stack, server, work } = request
  const file = join(partial, DUMP)
  work.step('dump', `${server.database} (${size(facts.bytes)} in the database)`)
  const tables = await dumpAndCount(server, facts, file, sets[0]?.files[DUMP]?.bytes)
  await dumpGlobals(server, join(partial, GLOBALS))
  const objects = await saveFiles(request, partial, sets)
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
    objects,
    seconds: work.seconds(),
  }
  replaceFile(join(partial, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
  sync(partial)
  return manifest
}
