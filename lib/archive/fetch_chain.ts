// The way back: a chain from the bucket off the site, for a server that has lost its own.
// Long, since what of it is brought, and what of it is believed, have to be read together.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openOffsite, type OffSite, versionOf } from '../backup/offsite/layout.ts'
import { openBackupFolder } from '../backup/backup_folder.ts'
import { downloadObject } from '../s3/bucket.ts'
import { retry } from '../s3/client.ts'
import { mapConcurrent } from '../system/concurrency.ts'
import { freeSpace, noSpace } from '../system/disk_space.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { plainSize, readPlainIfThere } from '../system/files.ts'
import { size } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { checkInterruption } from '../system/signals.ts'
import { takeDataLock } from '../system/work_lock.ts'
import { checkArchive, type Damage, gapsBetween } from './check_archive.ts'
import { keyOf, listArchiveOffsite, type Offsite } from './offsite_listing.ts'
import {
  archiveIn,
  chainFolder,
  openFolderOf,
  openIndex,
  readComplete,
  readPieces,
  readShippedBases,
  type ShippedPiece,
  writeComplete,
} from './shipped.ts'

/** The chains that are off the site and have a full base, oldest first. */
export function chainsIn(there: Offsite) {
  return [...there.keys()]
    .flatMap(path => {
      const [chain = '', folder, file] = path.split('/')
      return folder === 'base' && file === `${chain}.json` ? [chain] : []
    })
    .toSorted()
}

const chainNamed = (there: Offsite, name: string | undefined) => {
  const chains = chainsIn(there)
  const chain = name === undefined ? chains.at(-1) : chains.find(it => it === name)
  if (chain !== undefined) return chain
  throw usage(
    name === undefined ? 'there is no chain of the archive off the site' : `there is no chain ${name} off the site`,
    chains.length > 0 ? `there are: ${chains.join(', ')}` : 'nothing of the archive was copied there yet',
  )
}

const fetchFile = async (site: OffSite, path: string, file: string) => {
  const partial = `${file}.partial`
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const got = await retry(() => {
    rmSync(partial, { force: true })
    const key = keyOf(site, path)
    return downloadObject(site.connection, key, partial, { version: versionOf(site, key) })
  })
  if (!got) throw new Failure(`${path} is not off the site any more`, { exitCode: EXIT.data, hint: 'run it again' })
  return partial
}

/** The lines of both, each once: of two for a piece the last one counts, and a content that either names is right. */
export function mergeIndexes(there: string, here: string) {
  return `${[...new Set([...there.split('\n'), ...here.split('\n')].filter(Boolean))].join('\n')}\n`
}

// What this server has noted itself is not lost to what the bucket says.
const bringFile = async (site: OffSite, path: string, file: string) => {
  const partial = await fetchFile(site, path, file)
  const here = path.endsWith('/index.jsonl') && !site.asOf ? readPlainIfThere(file) : undefined
  if (here !== undefined) writeFileSync(partial, mergeIndexes(readFileSync(partial, 'utf8'), here))
  renameSync(partial, file)
}

// What makes a base count comes last; the small files of the WAL change, and are brought each time.
const isSmall = (path: string) => /\/wal\/(index\.jsonl|complete\.json)$/.test(path)
const isBase = (path: string) => path.endsWith('.json') && !isSmall(path)

// Of what was noted here itself, by its own size: a bucket can say anything.
const knownHere = (backups: string, chain: string) => {
  const files = new Map<string, number>()
  for (const { name, bytes } of readPieces(join(chainFolder(backups, chain), 'wal')))
    files.set(`${chain}/wal/${name}`, bytes)
  for (const { name, files: own } of readShippedBases(backups, chain).bases) {
    const json = `${chain}/base/${name}.json`
    files.set(json, plainSize(join(archiveIn(backups), json)) ?? 0)
    for (const [file, { bytes }] of Object.entries(own)) files.set(`${chain}/base/${file}`, bytes)
  }
  return files
}

const wantedOf = (backups: string, there: Offsite, chain: string, asOf?: Date) => {
  const known = asOf ? new Map<string, number>() : knownHere(backups, chain)
  const isHere = (path: string) => {
    const bytes = plainSize(join(archiveIn(backups), path))
    return bytes !== undefined && (known.has(path) ? known.get(path) : there.get(path)) === bytes
  }
  // As it was then a base may be another one of the same size.
  const isWanted = (path: string) => isSmall(path) || (asOf && isBase(path)) || !isHere(path)
  return [...there.keys()].filter(path => path.startsWith(`${chain}/`) && isWanted(path))
}

const bytesOf = (there: Offsite, paths: string[]) => paths.reduce((sum, path) => sum + (there.get(path) ?? 0), 0)

/** The bytes of a chain off the site that are not in BACKUP_DIR yet. */
export function bytesToFetch({ BACKUP_DIR }: Pick<Settings, 'BACKUP_DIR'>, there: Offsite, chain: string, asOf?: Date) {
  return bytesOf(there, wantedOf(BACKUP_DIR, there, chain, asOf))
}

// What complete.json tells is up to an hour old there; the pieces that came since have their times.
const completeFrom = (backups: string, chain: string, pieces: ShippedPiece[]) => {
  const [said, last] = [readComplete(backups, chain), pieces.at(-1)]
  if (!last || last.end < (said?.end ?? 0) || gapsBetween(pieces, pieces[0]?.start ?? 0).length > 0) return
  if (said && Date.parse(said.at) >= Date.parse(last.at)) return
  writeComplete(openFolderOf(backups, chain, 'wal'), { end: last.end, at: last.at })
}

/**
 * Brings a chain, the newest one without a name, into BACKUP_DIR; what is there already with its size is not brought
 * again. With a time it is the bucket as it was then. Gives its name, and what of it is not whole. Throws a Failure: 64
 * when it is not there, 69 when the server does not answer, 73 and 74 for the folder and its space.
 */
export async function bringChain(
  settings: Settings,
  name: string | undefined,
  wait: boolean,
  asOf?: Date,
): Promise<{ chain: string; damaged: Damage[] }> {
  const { BACKUP_DIR: backups } = settings
  const scope = new Scope()
  try {
    const work = scope.use(await takeDataLock('fetching the archive', wait))
    const site = scope.use(await openOffsite(settings, asOf))
    const there = await listArchiveOffsite(site)
    const chain = chainNamed(there, name)
    openBackupFolder(backups)
    const fileOf = (path: string) => join(archiveIn(backups), path)
    const wanted = wantedOf(backups, there, chain, asOf)
    const bytes = bytesOf(there, wanted)
    if (freeSpace(backups) < bytes)
      throw noSpace(`${backups} has ${size(freeSpace(backups))} left, and the chain is ${size(bytes)}`)
    work.step('fetch', `the chain ${chain}, ${size(bytes)}`)
    let come = 0
    const progress = say.transfer(() => come, bytes)
    try {
      for (const last of [false, true])
        await mapConcurrent(
          wanted.filter(path => isBase(path) === last),
          async path => {
            checkInterruption()
            await bringFile(site, path, fileOf(path))
            come += there.get(path) ?? 0
          },
        )
    } finally {
      progress.end()
    }
    const lookAt = async () => (await checkArchive(settings)).filter(it => it.chain === chain)
    const [full] = readShippedBases(backups, chain).bases
    const pieces = await openIndex(openFolderOf(backups, chain, 'wal'), full?.endedAt ?? new Date(0).toISOString())
    completeFrom(backups, chain, pieces)
    const damaged = await lookAt()
    // What was here with its size, and another content: there it may be as it was.
    const again = damaged.flatMap(({ file }) => (file && there.has(file) && !wanted.includes(file) ? [file] : []))
    for (const path of again) await bringFile(site, path, fileOf(path))
    return { chain, damaged: again.length > 0 ? await lookAt() : damaged }
  } finally {
    await scope.dispose()
  }
}

/** The same; gives its name. Throws a Failure (65) when it is not whole, too. */
export async function fetchChain(settings: Settings, name: string | undefined, wait: boolean, asOf?: Date) {
  const { chain, damaged } = await bringChain(settings, name, wait, asOf)
  if (damaged.length === 0) return chain
  throw new Failure(`the chain ${chain} is here, but not whole: ${damaged.map(({ text }) => text).join('; ')}`, {
    exitCode: EXIT.data,
    hint: 'the moments before the first damage can be brought back: scripts/backup.ts --list',
  })
}
