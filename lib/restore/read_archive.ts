// What lies in the archive of the WAL beside the database. Containers write there: it is read in one, and decides
// nothing but which of its own files are used.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { basesIn } from '../archive/bases.ts'
import { inServer, type Server } from '../postgres/server.ts'
import { root } from '../system/checkout.ts'
import { usage } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import type { Archive } from './moments.ts'

// What was received of a server before, or on a timeline before, is put aside there for a week (postgres/wal.sh).
const LIST = String.raw`
for place in /wal $(ls -d /wal/former-* 2>/dev/null | sort -r); do
  cd "$place" || continue
  echo "place $place"
  for file in base/*/base.json; do
    case $file in *.partial/*) continue ;; esac
    [ ! -e "$file" ] || { printf 'base '; tr -d '\n' <"$file"; echo; }
  done
  find segments -maxdepth 1 -type f -printf 'segment %f %s %T@\n' 2>/dev/null
done
true
`

const FORMER = /^\/wal(\/former-\d{8}t\d{6}z)?$/

const SEGMENT = /^segment ([0-9A-F]{24})(?:\.partial|(\.cut))? (\d+) (\d+(?:\.\d+)?)/

/**
 * The folder that the archive of the WAL lies in. Throws a Failure (64) when there is none: it may be off by now, what
 * it has kept is there all the same.
 */
export function archiveFolder({ WAL_DIR }: Pick<Settings, 'WAL_DIR'>) {
  const folder = resolve(root, WAL_DIR)
  if (existsSync(folder)) return folder
  throw usage(
    'this site keeps no archive of the WAL, so no moment can be brought back',
    'nothing was touched; a backup set can be: scripts/backup.ts --list. For the next time: scripts/setup.ts --archive',
  )
}

/** An archive that lies in a container. */
export interface PlacedArchive extends Archive {
  place: string
}

/**
 * Reads it in a container that has it as /wal, and what was put aside in it of a server before: that of now first, then
 * the newest. Bases that are damaged are left out.
 */
export async function readArchives(container: Pick<Server, 'id'>): Promise<PlacedArchive[]> {
  const text = await capture(inServer(container, 'sh', '-c', LIST), { what: 'reading the archive of the WAL' })
  return text
    .split(/^place /m)
    .map(part => part.split('\n'))
    .flatMap(([place = '', ...lines]) =>
      FORMER.test(place) ? { place, ...archiveIn(lines), ended: place !== '/wal' } : [],
    )
}

const archiveIn = (lines: string[]): Archive => {
  const bases = basesIn(lines.flatMap(line => (line.startsWith('base ') ? line.slice(5) : [])).join('\n'))
  const segments = lines.flatMap(line => {
    const [, name = '', cut, bytes, at] = SEGMENT.exec(line) ?? []
    const segment = { name, bytes: Number(bytes), at: new Date(Number(at) * 1000), cut: cut !== undefined }
    return name === '' ? [] : [segment]
  })
  return { bases, segments }
}
