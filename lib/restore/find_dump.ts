// Which dump a person means: a path, a dump in db/dumps, or a backup set.
import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DUMP, encryptedName, fileOf, type Manifest } from '../backup/manifest.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import { namesInFolder, readPlainIfThere } from '../system/files.ts'
import { digest } from '../system/large_files.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import type { RecoveredMoment } from './recover_moment.ts'
import { type BackupSet, listSets, manifestIn, setNamed } from '../backup/sets.ts'

/** A dump on this machine, as a file or (directory format) as a folder. */
export interface Source {
  path: string
  /** of the set that it belongs to */
  manifest: Manifest | undefined
  /** of a set whose dump is this very one, by its sha256 */
  known: Manifest | undefined
  /** what it must have, in the clear */
  sha256: string | undefined
  /** a moment that was recovered, which it is of */
  moment?: RecoveredDatabase
}

/** A moment, and what the database had in it. */
export interface RecoveredDatabase extends RecoveredMoment {
  tables: Record<string, number>
  searchPath: string
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/

const isFolder = (path: string) => statSync(path).isDirectory()

const inSet = (folder: string): Source => {
  const { value: manifest, damage } = manifestIn(folder)
  const dump = manifest && fileOf(manifest, DUMP)
  if (dump) return { path: join(folder, dump.name), manifest, known: manifest, sha256: dump.sha256 }
  throw new Failure(`${folder} is not a backup set that can be used: ${damage ?? 'it has no dump'}`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; take another one (scripts/backup.ts --list)',
  })
}

// What lies in db/ may have been put there by a container.
const isOurs = (path: string) =>
  existsSync(DUMPS) && `${realpathSync(path)}/`.startsWith(`${dirname(realpathSync(DUMPS))}/`)

// The sets are looked at only where a digest is noted: their disk may be the one that is lost.
const atPath = (path: string, sets: () => BackupSet[]): Source => {
  const real = realpathSync(path)
  if (isOurs(dirname(path)) && !isOurs(real))
    throw usage(
      `${path} is a link that leads out of db/dumps`,
      `nothing is read through it; if you trust it, name the file itself: ${real}`,
    )
  if (!isFolder(real) && !statSync(real).isFile()) throw usage(`${path} is neither a file nor a folder`)
  if (isFolder(real) && existsSync(join(real, 'manifest.json'))) return inSet(real)
  if (isFolder(real) && !existsSync(join(real, 'toc.dat')))
    throw usage(`${path} is neither a backup set nor a dump in directory format`)
  if (basename(real) === encryptedName(DUMP)) return inSet(dirname(real))
  const noted = isFolder(real) ? undefined : readPlainIfThere(`${path}.sha256`)
  const sha256 = noted === undefined ? undefined : (/^[0-9a-f]{64}\b/.exec(noted)?.[0] ?? 'unreadable')
  return {
    path: real,
    manifest: undefined,
    known: sha256 === undefined ? undefined : sets().find(set => fileOf(set, DUMP)?.sha256 === sha256),
    sha256,
  }
}

const dumpNames = () =>
  namesInFolder(DUMPS)
    .filter(file => /^[^.].*\.dump$/.test(file))
    .map(file => basename(file, '.dump'))

const choices = (names: string[]) =>
  names.length === 0 ? 'there is none' : `there are: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}`

/**
 * The dump that is meant; without a name db/dumps/latest.dump. Throws a Failure (64) with what there is when that is
 * none, or more than one.
 */
export function findDump(name = 'latest', folder: string): Source {
  if (name.includes('/')) {
    if (existsSync(name)) return atPath(resolve(name), () => listSets(folder).sets)
    throw usage(`there is no ${name}`)
  }
  const { sets } = listSets(folder)
  const all = [...dumpNames(), ...sets.map(({ name }) => name)]
  const hint = `${choices(all)} (in ${DUMPS} and ${folder}); a file elsewhere is named by its path: ./${name}`
  if (!NAME.test(name)) throw usage(`${JSON.stringify(name)} cannot be the name of a dump`, hint)
  const file = join(DUMPS, `${basename(name, '.dump')}.dump`)
  if (existsSync(file)) return atPath(file, () => sets)
  const set = setNamed(sets, name)
  if (set) return inSet(set.folder)
  throw usage(`there is no dump or backup set ${name}`, hint)
}

/** Throws a Failure (65) when a file is not the one that its digest was made of. */
export async function checkDigest(file: string, { path, sha256 }: Source) {
  if (sha256 === undefined || (await digest(file)).sha256 === sha256) return
  throw new Failure(`${path} is not what it was when it was saved: its sha256 is another`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; it is damaged, or was replaced by hand. Take another one (scripts/backup.ts --list)',
  })
}
