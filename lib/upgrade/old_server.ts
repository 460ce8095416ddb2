// The server that is to be upgraded. When its image was changed to a newer version by hand it does not run: then the
// version of its data is started again first, and the site is up while it is upgraded.
import { docker } from '../docker/commands.ts'
import { listInstances } from '../docker/containers.ts'
import type { Stack } from '../docker/stack.ts'
import { findServer, openSessions, type Server, sql } from '../postgres/server.ts'
import { findImage, majorOf, PLACE } from '../postgres/server_image.ts'
import { changeSettings } from '../system/env_file.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { proveSettable, serverUnder } from './images.ts'
import { startServer } from './switch.ts'

interface OldServer {
  server: Server
  image: string
  volume: string
  version: number
}

const FIND = `find ${PLACE} -maxdepth 3 -name PG_VERSION -size +0 -not -path '*.u*/*' -exec cat {} +`

/** The versions of the data in a volume. */
const versionsIn = async (volume: string, image: string) => {
  const words = ['--rm', '--network', 'none', '--entrypoint', 'sh', '--volume', `${volume}:${PLACE}:ro`]
  return (await capture(docker('run', ...words, image, '-c', FIND))).split('\n').filter(Boolean).map(Number)
}

/** Starts the version of the data again. Throws a Failure when nobody knows an image of it. */
const startAgain = async (stack: Stack, image: string, volume: string, named: string | undefined) => {
  const [version, ...more] = await versionsIn(volume, image)
  if (version === undefined || more.length > 0)
    throw new Failure(
      `postgres does not run, and ${volume} has ${more.length > 0 ? 'data of several versions' : 'no data'}`,
      { exitCode: EXIT.unreachable, hint: 'scripts/logs.ts postgres says why it does not run' },
    )
  const old = named ?? (await findImage(image, version))
  if (old === undefined || (await majorOf(old)) !== version)
    throw badConfig(
      `the data are of PostgreSQL ${version}, and ${old ?? 'no image of this machine'} is not`,
      'nothing was touched; name the image that they were served by: --old-image <image>',
    )
  const settings = { POSTGRES_IMAGE: old, POSTGRES_VOLUME: volume }
  await proveSettable({ image: old, volume, settings })
  say.step(`start: ${old}, the version of the data, as it was before the image was changed`)
  changeSettings(settings)
  await startServer(stack)
}

const volumeOf = (id: string) => {
  const format = `{{range .Mounts}}{{if eq .Destination "${PLACE}"}}{{.Name}}{{end}}{{end}}`
  return capture(docker('inspect', '--format', format, id))
}

/** The container of the stack's server, and the data that it has: a way back is needed most when it does not run. */
export async function ownCluster({ project }: Stack) {
  const found = (await listInstances(project, 'postgres')).find(({ oneOff }) => !oneOff)
  if (!found)
    throw new Failure('there is no container of postgres', {
      exitCode: EXIT.unreachable,
      hint: 'docker compose up -d postgres, whatever comes of it; then run it again',
    })
  const { id, image } = found
  const volume = await volumeOf(id)
  const [version] = await versionsIn(volume, image)
  return { id, image, volume, version: version ?? (await majorOf(image)) }
}

const isServing = async ({ project }: Stack) =>
  (await listInstances(project, 'postgres')).some(
    ({ oneOff, running, health }) => !oneOff && running && health === 'healthy',
  )

/** Opens it. Throws a Failure (69, 78). */
export async function openOldServer(stack: Stack, settings: Settings, named: string | undefined): Promise<OldServer> {
  if (!(await isServing(stack))) {
    const { image, volume } = await serverUnder({})
    await startAgain(stack, image, volume, named)
  }
  const server = await openSessions(await findServer(stack.project, settings))
  const version = Math.floor(Number(await sql(server, 'template1', 'show server_version_num')) / 10_000)
  const volume = await volumeOf(server.id)
  if (volume !== '') return { server, image: server.image, volume, version }
  throw badConfig(
    `${server.name} has no volume at ${PLACE}`,
    'nothing was touched; docs/server.md tells where its data are to be',
  )
}
