// The way back: a set from the bucket off the site, for a server that has lost its own.
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { prepareFolder } from '../backup_folder.ts'
import { freeSpace, noSpace } from '../../system/disk_space.ts'
import { downloadObject } from '../../s3/bucket.ts'
import type { Settings } from '../../system/settings.ts'
import { takeDataLock } from '../../system/work_lock.ts'
import { EXIT, Failure, usage } from '../../system/errors.ts'
import { linkOrCopy, plainSize, replaceFile, sync } from '../../system/files.ts'
import { digest } from '../../system/large_files.ts'
import {
  contentKey,
  findOffsite,
  listContents,
  namesIn,
  type OffSite,
  setKey,
  openOffsite,
  versionOf,
} from './layout.ts'
import { retry } from '../../s3/client.ts'
import { Scope } from '../../system/scope.ts'
import { say } from '../../system/progress.ts'
import { size } from '../../system/format.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import { listSets, partialOf } from '../sets.ts'
import { bytesOf, LIST, type Manifest } from '../manifest.ts'
import { checkInterruption, interruption } from '../../system/signals.ts'

/** The first of these files that is there with this content. */
const findHere = async (files: string[], sha256: string) => {
  for (const file of files) if (existsSync(file) && (await digest(file)).sha256 === sha256) return file
  return undefined
}

/**
 * Brings an object into a file, which one that was killed may have brought. Throws a Failure (65) when it is not there,
 * or has another content.
 */
const fetchObject = async (site: OffSite, key: string, file: string, sha256: string) => {
  if (await findHere([file], sha256)) return
  const got = await retry(() => {
    // What an attempt before has left of it.
    rmSync(file, { force: true })
    return downloadObject(site.connection, key, file, { version: versionOf(site, key) })
  })
  if (got?.sha256 === sha256) return
  throw new Failure(`${key} off the site ${got ? 'is not what it was when it was copied' : 'is missing'}`, {
    exitCode: EXIT.data,
    hint: 'no set was made here; take another one: scripts/backup.ts --list --offsite',
  })
}

const placeOf = (sha256: string) => join('objects', sha256.slice(0, 2), sha256)

const fetchContents = async (site: OffSite, folder: string, partial: string) => {
  const names = new Set<string>()
  for await (const sha256 of namesIn(createReadStream(join(partial, LIST), 'utf8'))) names.add(sha256)
  const there = await listContents(site)
  const isHere = (sha256: string) => plainSize(join(partial, placeOf(sha256))) === there.get(sha256)
  const wanted = [...names].reduce((sum, sha256) => sum + (isHere(sha256) ? 0 : (there.get(sha256) ?? 0)), 0)
  if (freeSpace(folder) < wanted)
    throw noSpace(`${folder} has ${size(freeSpace(folder))} left, and the uploaded files are ${size(wanted)}`)
  const sets = listSets(folder).sets.filter(({ recipients, objects }) => recipients && objects)
  await mapConcurrent([...names], async sha256 => {
    checkInterruption()
    const place = placeOf(sha256)
    const target = join(partial, place)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    const here = await findHere([target, ...sets.map(set => join(set.folder, place))], sha256)
    if (here === target) return
    if (here) await linkOrCopy(here, target)
    else await fetchObject(site, contentKey(site, sha256), target, sha256)
  })
}

const fill = async (site: OffSite, manifest: Manifest, folder: string, partial: string) => {
  const { name, files, objects } = manifest
  for (const [file, { sha256 }] of Object.entries(files))
    await fetchObject(site, setKey(site, name, file), join(partial, file), sha256)
  if (objects) {
    mkdirSync(join(partial, 'objects'), { recursive: true, mode: 0o700 })
    await fetchContents(site, folder, partial)
  }
  // The one that was checked, not what may lie there by now.
  replaceFile(join(partial, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
  sync(partial)
}

/**
 * Brings a set, the newest one without a name, into BACKUP_DIR, as it is there or as it was at a time; each file of it
 * is compared with its sha256, and it gets its name when it is whole. Gives its folder. Throws a Failure: 64 when it is
 * not there, or here already, 65 when it is damaged there, 69 when the server does not answer, 73 and 74 for the folder
 * and its space.
 */
export async function fetchSet(settings: Settings, name: string | undefined, wait: boolean, asOf?: Date) {
  const folder = settings.BACKUP_DIR
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('fetching a backup', wait))
    const site = scope.use(await openOffsite(settings, asOf))
    const set = await findOffsite(site, name)
    const target = join(folder, set.name)
    if (existsSync(target)) throw usage(`${target} is there already`, 'scripts/backup.ts --list shows what is here')
    prepareFolder(folder, set.name)
    const partial = partialOf(target)
    const wanted = bytesOf({
      files: Object.fromEntries(
        Object.entries(set.files).filter(([file, { bytes }]) => plainSize(join(partial, file)) !== bytes),
      ),
    })
    if (freeSpace(folder) < wanted)
      throw noSpace(
        `${folder} has ${size(freeSpace(folder))} left, and the set is ${size(bytesOf(set))} without its files`,
      )
    work.step('fetch', `${set.name}, made ${set.made} on ${set.host}`)
    mkdirSync(partial, { recursive: true, mode: 0o700 })
    try {
      await fill(site, set, folder, partial)
      renameSync(partial, target)
    } catch (error) {
      // What was brought before the line was cut, or somebody stopped it, need not be brought again.
      const goesOn = interruption.aborted || (error instanceof Failure && error.exitCode === EXIT.unreachable)
      if (!goesOn) rmSync(partial, { recursive: true, force: true })
      throw error
    }
    sync(folder)
    say.detail(
      'each file was compared with its sha256; that the key opens them shows scripts/backup.ts --drill --key FILE',
    )
    return target
  } finally {
    await scope.dispose()
  }
}
