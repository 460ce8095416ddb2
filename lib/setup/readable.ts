// What containers are given to read of this machine: their programs run as users of their own, so it must be readable
// by everybody. A clone that was made under a strict umask is not, and all looks healthy until the first visitor needs
// a page of an error.
import { chmodSync, existsSync, lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { bad, type Finding, unless } from './findings.ts'
import type { StackConfig } from '../docker/stack_config.ts'

// The dumps are nobody's but postgres's.
const isOurs = (folder: string) => folder.startsWith(join(root, '/')) && !folder.startsWith(join(root, 'db'))

/**
 * The folders of this checkout that containers read, and the static files that visitors do; neither certificates nor
 * dumps.
 */
export function readFolders({ services }: StackConfig) {
  const volumes = Object.values(services).flatMap(({ volumes = [] }) => volumes)
  const read = volumes.flatMap(({ type, source, target, read_only }) =>
    type === 'bind' && read_only && source !== undefined && (target === '/static' || isOurs(source)) ? [source] : [],
  )
  return [...new Set(read)].filter(
    folder => existsSync(folder) && !read.some(other => folder.startsWith(join(other, '/'))),
  )
}

const walk = (mounted: string): string[] => {
  if (!lstatSync(mounted).isDirectory()) return [mounted]
  return [mounted, ...readdirSync(mounted, { recursive: true, encoding: 'utf8' }).map(name => join(mounted, name))]
}

// As far as its owner may, so may everybody.
const wantedOf = (mode: number) => mode | ((mode & 0o500) >> 3) | ((mode & 0o500) >> 6)

const closedIn = (folder: string) =>
  walk(folder).flatMap(path => {
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (!status || status.isSymbolicLink()) return []
    const mode = status.mode & 0o7777
    return wantedOf(mode) === mode ? [] : [{ path, mode: wantedOf(mode) }]
  })

/** Folders with something in them that not everybody can read. */
export function readableFindings(folders: string[]): Finding[] {
  return unless(
    'containers can read what they are given',
    folders.flatMap(folder => {
      const closed = closedIn(folder)
      if (closed.length === 0) return []
      return [
        bad(
          `${closed[0]?.path}${closed.length > 1 ? ` and ${closed.length - 1} more` : ''} cannot be read by the ` +
            'users of containers (a umask?)',
          `chmod -R go=u-w ${folder}`,
          { about: folder, mend: `chmod -R go=u-w ${folder}` },
        ),
      ]
    }),
  )
}

/** Has a folder readable by everybody. */
export async function openFolder({ about = '' }: Finding) {
  for (const { path, mode } of closedIn(about)) chmodSync(path, mode)
}
