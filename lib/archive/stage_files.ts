// The files of a chain as they lie beside a database: decrypted, unpacked, each compared with its sha256.
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Key } from '../crypto/age.ts'
import { decryptFile } from '../crypto/encrypted_files.ts'
import { inServer, type Server } from '../postgres/server.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { type Digest, digest } from '../system/large_files.ts'
import { outputOf } from '../system/run.ts'
import { lsnOf, type Piece } from './positions.ts'
import { chainFolder, type ShippedBase, type ShippedPiece } from './shipped.ts'
import { writeSegments } from './unpack_wal.ts'

/** Brings a file in the clear. Throws a Failure (65) when it is not what it was when it was shipped. */
const bring = async (
  source: string,
  { sha256, former = [] }: Digest & { former?: string[] },
  key: Key | undefined,
  target: string,
) => {
  if (![sha256, ...former].includes((await digest(source)).sha256))
    throw new Failure(`${source} is not what it was when it was shipped`, {
      exitCode: EXIT.data,
      hint:
        'nothing was touched; another moment may need other files (scripts/backup.ts --list), and off the site ' +
        'there may be a good one (scripts/backup.ts --fetch --archive)',
    })
  if (source.endsWith('.age') && key) await decryptFile(key, source, target)
  else copyFileSync(source, target)
  // A container reads it; nobody else here gets through the folder above.
  chmodSync(target, 0o644)
}

/** A folder that containers can read. */
export function makeStagingFolder(...path: string[]) {
  const folder = join(...path)
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o755)
  return folder
}

/** Brings a base. */
export async function stageBase(
  backups: string,
  { files, recipients: _, ...base }: ShippedBase,
  key: Key | undefined,
  folder: string,
) {
  const target = makeStagingFolder(folder, 'base', base.name)
  for (const [file, expected] of Object.entries(files)) {
    const name = file.includes('.tar.zst') ? 'base.tar.zst' : 'backup_manifest'
    await bring(join(chainFolder(backups, base.chain), 'base', file), expected, key, join(target, name))
  }
  writeFileSync(join(target, 'base.json'), `${JSON.stringify(base)}\n`)
  chmodSync(join(target, 'base.json'), 0o644)
}

/** What is brought, and where to. */
export interface Staging {
  backups: string
  chain: string
  key: Key | undefined
  folder: string
  container: Pick<Server, 'id'>
  segment: number
}

/**
 * Pieces in which each goes on from where the one before ends. One that overlaps (it was shipped again) begins anew.
 */
export function runsOf<T extends Piece>(pieces: T[]) {
  const runs: T[][] = []
  for (const piece of pieces) {
    const run = runs.at(-1)
    if (run?.at(-1)?.end === piece.start) run.push(piece)
    else runs.push([piece])
  }
  return runs
}

/** Brings WAL, and puts the segments together. */
export async function stageWal(staging: Staging, pieces: ShippedPiece[]) {
  for (const run of runsOf(pieces)) await stageRun(staging, run)
}

const stageRun = async ({ backups, chain, key, folder, container, segment }: Staging, pieces: ShippedPiece[]) => {
  const [compressed, one] = [join(folder, 'wal.zst'), join(folder, 'piece')]
  writeFileSync(compressed, '')
  chmodSync(compressed, 0o644)
  for (const piece of pieces) {
    await bring(join(chainFolder(backups, chain), 'wal', piece.name), piece, key, one)
    appendFileSync(compressed, readFileSync(one))
    rmSync(one)
  }
  const wal = outputOf(inServer(container, 'zstd', '--decompress', '--quiet', '--stdout', '/wal/wal.zst'), {
    what: 'unpacking the WAL',
    exitCode: EXIT.data,
  })
  const [{ timeline, start }, last] = [pieces[0]!, pieces.at(-1)!]
  const end = await writeSegments(wal, { timeline, start, segment }, makeStagingFolder(folder, 'segments'))
  rmSync(compressed)
  if (end === last.end) return
  throw new Failure(`the WAL of ${chain} ends at ${lsnOf(end)} instead of ${lsnOf(last.end)}`, { exitCode: EXIT.data })
}
