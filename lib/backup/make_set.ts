// Makes a backup set: dumped, verified, then published by one rename. Until then it is a folder that the next run
// removes.
// Long, since the order of these steps is what makes a set good.
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { compareTables, dumpAndCount } from './dump_database.ts'
import { DUMP, INDEX, fileOf, type Manifest, ROLES, setName } from './manifest.ts'
import { checkRoom, prepareFolder } from './backup_folder.ts'
import { asDiskFull } from '../system/disk_space.ts'
import { checkPlaintextRoom, encryptFiles, previousContents } from './encrypt_set.ts'
import type { Settings } from '../system/settings.ts'
import type { DataWork } from '../system/work_lock.ts'
import { readDump } from '../postgres/dump_archive.ts'
import { openDumpFolder } from '../postgres/dumps_folder.ts'
import type { Encryptor } from '../crypto/age.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { warnOfFragile } from './fragile.ts'
import { replaceFile, sync } from '../system/files.ts'
import { digest } from '../system/large_files.ts'
import { who } from '../system/identity.ts'
import { listInstances } from '../docker/containers.ts'
import { saveObjects } from './objects/save.ts'
import type { Disposable } from '../system/scope.ts'
import type { Server } from '../postgres/server.ts'
import { say } from '../system/progress.ts'
import { size } from '../system/format.ts'
import { together } from '../system/concurrency.ts'
import { type Facts, readFacts } from '../postgres/snapshot.ts'
import { type BackupSet, listSets, newestWithFiles, partialOf } from './sets.ts'
import type { Stack } from '../docker/stack.ts'

interface BackupRequest {
  stack: Stack
  server: Server
  /** BACKUP_DIR */
  folder: string
  /** what the set's name begins with */
  prefix: string
  /** save the uploaded files too */
  withFiles: boolean
  settings: Settings
  /** encrypts the set */
  encryptor: Encryptor | undefined
  work: DataWork
}

/**
 * The folders of a set in the making: its own, and where its files lie in the clear (the same, if it is not encrypted).
 */
interface Folders {
  partial: string
  plaintext: string
}

const warnOfLoss = (manifest: Manifest, previous: BackupSet | undefined) => {
  const [now, before] = [manifest, previous].map(it => (it && fileOf(it, DUMP)?.bytes) ?? 0) as [number, number]
  if (now * 2 < before)
    say.warn(`the dump is ${size(now)}, and that of ${previous?.name} was ${size(before)}: was so much removed?`)
}

const releasesOf = async ({ project, apps }: Stack) => {
  const instances = await listInstances(project)
  const live = apps.flatMap(
    ({ service }) => instances.find(it => it.service === service && it.running && !it.oneOff) ?? [],
  )
  return Object.fromEntries(live.map(({ service, image }) => [service, image]))
}

/** A set that was made. Until it is disposed of, its dump and its roles lie in the clear in a folder. */
export interface MadeSet extends Disposable {
  set: BackupSet
  plaintext: string
}

/**
 * Makes a set. Throws a Failure that says what went wrong; then nothing new has a set's name, and what was there is
 * untouched.
 */
export async function makeSet(request: BackupRequest): Promise<MadeSet> {
  const { server, folder, prefix, work, encryptor } = request
  work.step('check', `${server.database} on ${server.name}, and ${folder}`)
  prepareFolder(folder)
  const { sets } = listSets(folder)
  const [previous] = sets
  checkRoom(folder, previous, request.withFiles)
  const facts = await readFacts(server)
  const started = new Date()
  const target = join(folder, setName(prefix, started))
  const partial = partialOf(target)
  mkdirSync(partial, { mode: 0o700 })
  const temporary = encryptor && openDumpFolder('backing-up')
  const folders = { partial, plaintext: temporary?.path ?? partial }
  try {
    const manifest = await fill(request, folders, facts, sets, started)
    warnOfLoss(manifest, previous)
    renameSync(partial, target)
    sync(folder)
    const set = { ...manifest, folder: target }
    return { set, plaintext: temporary?.path ?? target, dispose: () => temporary?.dispose() }
  } catch (error) {
    const cause = asDiskFull(error, folder, dirname(folders.plaintext))
    rmSync(partial, { recursive: true, force: true })
    await temporary?.dispose()
    throw cause
  }
}

// After the database: a file that a row names was there before the row.
const saveFiles = async (
  { stack, settings, withFiles, encryptor, work }: BackupRequest,
  { partial, plaintext }: Folders,
  sets: BackupSet[],
) => {
  if (!withFiles) return null
  work.step('files', 'those that were uploaded to minio; what the last set has is linked')
  let sofar = 0
  const progress = say.transfer(() => sofar, newestWithFiles(sets)?.objects?.bytes)
  try {
    const previous = await previousContents(sets, encryptor)
    const contents = { folder: partial, index: join(plaintext, INDEX) }
    const { count, bytes, fetched } = await saveObjects({
      stack,
      settings,
      contents,
      previous,
      encryptor,
      onProgress: saved => (sofar = saved.bytes),
    })
    say.detail(`${count} files, ${fetched} of them new`)
    return { count, bytes }
  } catch (error) {
    const {
      message,
      exitCode,
      hint = 'run it again',
    } = error instanceof Failure ? error : new Failure(messageOf(error))
    throw new Failure(message, {
      exitCode,
      cause: error,
      hint: `${hint}. Or save the database alone: scripts/backup.ts --no-files`,
    })
  } finally {
    progress.end()
  }
}

const digests = async (folder: string) => ({
  [DUMP]: await digest(join(folder, DUMP)),
  [ROLES]: await digest(join(folder, ROLES)),
})

/** Reads all of the dump back, and gives the size of its data and the files of the set: encrypted, with a encryptor. */
const verify = async (
  { server, encryptor, work }: BackupRequest,
  { partial, plaintext }: Folders,
  { searchPath }: Facts,
  tables: Record<string, number>,
  withObjects: boolean,
) => {
  work.step('verify', 'reading all of it back, and comparing the rows of each table')
  await warnOfFragile(server, searchPath)
  const [read, files] = await together(() => [
    readDump(server, join(plaintext, DUMP)),
    encryptor ? Promise.resolve(undefined) : digests(plaintext),
  ])
  compareTables(tables, read)
  if (files || !encryptor) return { bytes: read.bytes, files: files ?? {} }
  work.step(
    'encrypt',
    `to ${encryptor.recipients.length === 1 ? 'one public key' : `${encryptor.recipients.length} public keys`}, ` +
      'and reading that back',
  )
  return { bytes: read.bytes, files: await encryptFiles(encryptor, plaintext, partial, withObjects) }
}

const fill = async (
  request: BackupRequest,
  folders: Folders,
  facts: Facts,
  sets: BackupSet[],
  started: Date,
): Promise<Manifest> => {
  const { stack, server, encryptor, work } = request
  const { partial, plaintext } = folders
  const [previous] = sets
  if (encryptor) checkPlaintextRoom(previous)
  work.step('dump', `${server.database} (${size(facts.bytes)} in the database)`)
  const tables = await dumpAndCount(server, facts, plaintext, previous && fileOf(previous, DUMP)?.bytes)
  const objects = await saveFiles(request, folders, sets)
  const { bytes, files } = await verify(request, folders, facts, tables, objects !== null)
  const manifest: Manifest = {
    version: 1,
    name: setName(request.prefix, started),
    made: started.toISOString(),
    host: hostname(),
    who: who(),
    database: {
      name: server.database,
      server: facts.server,
      extensions: facts.extensions,
      searchPath: facts.searchPath,
      tables,
      bytes,
    },
    releases: await releasesOf(stack),
    files,
    ...(encryptor ? { recipients: encryptor.recipients } : {}),
    objects,
    seconds: work.seconds(),
  }
  replaceFile(join(partial, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
  sync(partial)
  return manifest
}
