// From which image to which: what docker-compose.yml and .env say, and what the images themselves say.
import { docker } from '../docker/commands.ts'
import { baseFiles } from '../docker/compose_files.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { configOf } from '../docker/stack_config.ts'
import { composeConfig } from '../docker/commands.ts'
import { PLACE } from '../postgres/server_image.ts'
import type { Cluster } from '../postgres/upgrade_note.ts'
import { badConfig } from '../system/errors.ts'
import { attempt, capture } from '../system/run.ts'

/** What .env says of the server, as Compose is to read it. */
export type ServerSettings = Cluster['settings']

/** What Compose makes of such settings, whatever .env says. */
export async function serverUnder(settings: Partial<ServerSettings>) {
  const config = configOf(await attempt(composeConfig(composeFiles()), { env: settings }))
  const { image, environment, volumes = [] } = config.services.postgres ?? {}
  const source = volumes.find(({ target }) => target === PLACE)?.source ?? ''
  const { name: volume } = (config as { volumes?: Record<string, { name?: string }> }).volumes?.[source] ?? {}
  if (image === undefined || volume === undefined)
    throw badConfig(
      `docker-compose.yml has no service postgres with an image and a volume at ${PLACE}`,
      `nothing was touched; is it changed in ${baseFiles().join(', ')}?`,
    )
  return { image, volume, pgdata: environment?.PGDATA ?? undefined }
}

/** Throws a Failure (78) when a file of the team's overrules what .env is to say of a server. */
export async function proveSettable(wanted: Pick<Cluster, 'image' | 'volume' | 'settings'>) {
  const { image, volume } = await serverUnder(wanted.settings)
  if (image === wanted.image && volume === wanted.volume) return
  throw badConfig(
    `postgres would run ${image} on ${volume}, whatever .env says`,
    'nothing was touched; take image and volume of postgres out of docker-compose.override.yml: POSTGRES_IMAGE ' +
      'and POSTGRES_VOLUME in .env are there for that',
  )
}

/** Where an image has its data, unless docker-compose.yml says otherwise. */
export async function dataFolderOf(image: string) {
  const lines = await capture(
    docker('image', 'inspect', '--format', '{{range .Config.Env}}{{println .}}{{end}}', image),
  )
  return /^PGDATA=(.+)$/m.exec(lines)?.[1] ?? `${PLACE}/data`
}
