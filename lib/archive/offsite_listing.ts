// What of the archive is off the site, as its names tell.
import { join } from 'node:path'
import { listKeys, type OffSite } from '../backup/offsite/layout.ts'
import { namesInFolder } from '../system/files.ts'
import { pieceOf } from './positions.ts'
import { chainFolder, chainNames, namesInIndex } from './shipped.ts'

/** What is there: "<chain>/wal/<name>" → bytes. */
export type Offsite = Map<string, number>

export function keyOf({ prefix }: OffSite, path: string) {
  return `${prefix}/archive/${path}`
}

const BASE_FILE = String.raw`base/\d{8}T\d{6}Z\.(?:json|(?:tar\.zst|manifest)(?:\.age)?)`
const PIECE = String.raw`[0-9A-F]{8}-[0-9A-F]{16}-[0-9A-F]{16}(?:-\d{8}T\d{6}Z)?\.zst(?:\.age)?`
const WAL_FILE = String.raw`wal/(?:index\.jsonl|complete\.json|${PIECE})`
const PATH = new RegExp(String.raw`^\d{8}T\d{6}Z/(?:${BASE_FILE}|${WAL_FILE})$`)

/** Whether it is a file of the archive: others write to a bucket, too, and what they name becomes no path here. */
export function isArchivePath(path: string) {
  return PATH.test(path)
}

/** What is there; at the time that the site was opened for, if it was. */
export async function listArchiveOffsite(site: OffSite): Promise<Offsite> {
  const there: Offsite = new Map()
  const begin = keyOf(site, '')
  for await (const page of listKeys(site, begin))
    for (const { key, bytes } of page) {
      const path = key.slice(begin.length)
      if (isArchivePath(path)) there.set(path, bytes)
    }
  return there
}

/**
 * The chains of which the bucket has WAL that BACKUP_DIR does not know of: that was put back, and what comes to be here
 * is another history than what is there. They stay there as they are.
 */
export function foreignChains(there: Offsite, backups: string) {
  return chainNames(backups).filter(chain => {
    const folder = join(chainFolder(backups, chain), 'wal')
    const names = new Set(namesInFolder(folder))
    const unknown = [...there.keys()].flatMap(path => {
      const [of, kind, name = ''] = path.split('/')
      return of === chain && kind === 'wal' && pieceOf(name) && !names.has(name) ? [name] : []
    })
    const known = unknown.length > 0 ? namesInIndex(folder) : undefined
    return unknown.some(name => !known?.has(name))
  })
}
