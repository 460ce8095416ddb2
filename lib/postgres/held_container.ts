// A container of postgres's image without a network that lives as long as this process: whatever ends this one ends
// that one, and nothing is left of what was done in it.
import { CONFINED } from './confined.ts'
import { PLACE } from './server_image.ts'
import { containerIds, docker, removeContainers } from '../docker/commands.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { attempt, capture, hold } from '../system/run.ts'
import type { Disposable } from '../system/scope.ts'
import { randomUUID } from 'node:crypto'

const LABEL = 'avril.moment'

// The first process reads until its standard input is closed.
const WAIT = 'echo ready; exec cat >/dev/null'

/** Removed when it is disposed of. */
export interface HeldContainer extends Disposable {
  id: string
}

/** A folder of this machine that is read in a container. */
export interface Mount {
  from: string
  to: string
}

interface Wanted {
  image: string
  /** the superuser of the server that is to run in it */
  user: string
  mounts?: Mount[]
  /** a volume that it has as the folder of the data of a server */
  volume?: string | undefined
}

/** What was only just being made when its maker was killed never began; it is removed by the next one. */
const sweepUnborn = async (project: string) => {
  const unborn = docker('ps', '--all', '--quiet', '--filter', `label=${LABEL}=${project}`, '--filter', 'status=created')
  const ids = (await attempt(unborn)).stdout.split('\n').filter(Boolean)
  if (ids.length > 0) await attempt(removeContainers(ids))
}

// A line of CSV.
const bind = (from: string, to: string) =>
  [`type=bind`, `source=${from}`, `target=${to}`, 'readonly'].map(it => `"${it.replaceAll('"', '""')}"`).join(',')

/** Removes those that have a volume as their data, whoever holds them: nobody works in it any more. */
export async function removeHolders(project: string, volume: string) {
  const filters = [`label=${LABEL}=${project}`, `volume=${volume}`].flatMap(it => ['--filter', it])
  const ids = (await capture(docker('ps', '--all', '--quiet', ...filters))).split('\n').filter(Boolean)
  if (ids.length > 0) await capture(removeContainers(ids))
}

/** Starts one. Throws a Failure (69) when it does not start. */
export async function holdContainer(
  project: string,
  { image, user, mounts = [], volume }: Wanted,
): Promise<HeldContainer> {
  await sweepUnborn(project)
  const mark = randomUUID()
  const labels = ['--label', `${LABEL}=${project}`, '--label', `${LABEL}.mark=${mark}`]
  const folders = mounts.flatMap(({ from, to }) => ['--mount', bind(from, to)])
  const data = volume === undefined ? [] : ['--mount', `type=volume,source=${volume},target=${PLACE}`]
  const words = ['run', '--interactive', '--rm', '--init', ...CONFINED, ...labels, ...folders, ...data]
  const command = docker(...words, '--env', `POSTGRES_USER=${user}`, '--entrypoint', 'sh', image, '-c', WAIT)
  // Its client hands on the end of its standard input whenever the container begins.
  const { release, stderr } = await hold(command, { patience: 3000 })
  const id = release && (await attempt(containerIds(`${LABEL}.mark=${mark}`))).stdout.trim()
  if (release && id) return { id, dispose: release }
  await release?.()
  throw new Failure(`a throw-away container of ${image} does not start: ${stderr.trim()}`, {
    exitCode: EXIT.unreachable,
    hint: 'is the engine well, and has the machine memory and disk left? docker info, df -h',
  })
}
