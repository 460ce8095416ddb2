// A dump is restored by several processes at once, and these need it as a file that the server's postgres can read. It
// is given to a process of that container, which writes it beside the data: whatever a container can write is never
// written, or linked to, from outside.
import { closeSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure } from '../system/errors.ts'
import { attemptInServer, captureInServer, inServer, type Server } from './server.ts'
import { attempt, capture } from '../system/run.ts'
import { size } from '../system/format.ts'
import { shielded } from '../system/signals.ts'

const PLACE = '/var/lib/postgresql'
const FORM = '.restoring.XXXXXX'

export interface HandedIn {
  /** where the server sees it */
  inside: string
  /** Removes it there; safe to call twice, and when the container has gone. */
  remove: () => Promise<void>
}

const checkRoom = async (server: Server, bytes: number) => {
  const free = Number(
    (await captureInServer(server, inServer(server, 'df', '--output=avail', '--block-size=1', PLACE)))
      .split('\n')
      .at(-1),
  )
  if (free < bytes)
    throw new Failure(
      `the data of postgres has ${size(free)} left, and the dump, which is copied there, is ${size(bytes)}`,
      { exitCode: EXIT.noSpace, hint: 'nothing was touched; free some space there' },
    )
}

const copyFile = async (server: Server, source: string, inside: string) => {
  const from = openSync(source, 'r')
  try {
    await capture(inServer(server, 'sh', '-c', 'cat >"$0"', inside), { from, what: `copying ${source} to the server` })
  } finally {
    closeSync(from)
  }
}

// One in directory format. bash, for its pipefail: who reads only one end of a pipe hears of half a copy.
const copyFolder = (server: Server, source: string, inside: string) => {
  const extract = inServer(server, 'sh', '-c', 'mkdir "$0" && tar --extract --directory="$0"', inside)
  return capture(['bash', '-c', 'set -o pipefail; tar --create --directory="$0" . | "$@"', source, ...extract], {
    what: `copying ${source} to the server`,
  })
}

/** Copies a dump, a file or a folder, to where the server can read it. Throws a Failure: 74 when it does not fit. */
export async function handIn(server: Server, source: string): Promise<HandedIn> {
  const stats = statSync(source)
  if (stats.isFile()) await checkRoom(server, stats.size)
  const folder = await captureInServer(server, inServer(server, 'mktemp', '--directory', join(PLACE, FORM)))
  const inside = join(folder, 'dump')
  const remove = async () => void (await shielded(() => attemptInServer(server, inServer(server, 'rm', '-rf', folder))))
  try {
    await (stats.isDirectory() ? copyFolder : copyFile)(server, source, inside)
    return { inside, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Removes what was left there by one that was killed. Only under the data lock. */
export function sweepHandedIn(server: Server) {
  return attempt(
    inServer(
      server,
      'find',
      PLACE,
      '-maxdepth',
      '1',
      '-name',
      FORM.replaceAll('X', '?'),
      '-exec',
      'rm',
      '-rf',
      '{}',
      '+',
    ),
  )
}
