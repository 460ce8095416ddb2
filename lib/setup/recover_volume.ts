// The volume of the database, before and while a lost site is brought back: what lies in it decides whether anything
// may.
import { docker } from '../docker/commands.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { readConfig } from '../docker/stack_config.ts'
import { hasData, volumesOf } from '../docker/volumes.ts'
import { badConfig } from '../system/errors.ts'
import { attempt, capture, isInstalled } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { readRecovery } from '../status/recovery_note.ts'

/** The volume of the site's own server. */
export function volumeOf({ POSTGRES_VOLUME, COMPOSE_PROJECT_NAME }: Settings) {
  return POSTGRES_VOLUME ?? `${COMPOSE_PROJECT_NAME}_postgres`
}

/** The image that it has. */
export async function imageOfPostgres() {
  const image = (await readConfig(composeFiles())).services.postgres?.image
  if (image !== undefined) return image
  throw badConfig('docker-compose.yml: postgres has no image', 'git diff docker-compose.yml')
}

// settle.sh leaves the name of the chain; what a first start makes of a set's dump bears none.
const LOOK = '[ ! -s "$PGDATA/PG_VERSION" ] || cat "$PGDATA/recovered_from" 2>/dev/null || echo first-start'

const lookInto = async (volume: string) => {
  const mount = ['--mount', `type=volume,source=${volume},target=/var/lib/postgresql,readonly`]
  const words = ['run', '--rm', '--network', 'none', ...mount, '--entrypoint', 'sh', await imageOfPostgres()]
  return capture(docker(...words, '-c', LOOK), { what: `looking into the volume ${volume}` })
}

/**
 * Throws a Failure (78) on a machine that is a node of a Swarm: its nginx has the ports, and asks the lost one who is
 * live.
 */
export async function checkNoNode({ COMPOSE_PROJECT_NAME: project }: Pick<Settings, 'COMPOSE_PROJECT_NAME'>) {
  if (!isInstalled('docker')) return
  const { stdout } = await attempt(docker('info', '--format', '{{.Swarm.LocalNodeState}}'))
  if (['', 'inactive'].includes(stdout.trim())) return
  throw badConfig(
    'this machine is a node of a Swarm: the site comes back on one that has nothing of it',
    'nothing was touched; take another machine, or, when the Swarm has lost its db node for good: ' +
      `docker ps --all --quiet --filter label=com.docker.compose.project=${project} | xargs -r docker rm --force; ` +
      'docker swarm leave --force; then run this again',
  )
}

const refusal = (volume: string) =>
  badConfig(
    `this machine has a database already (the volume ${volume}): --recover is for one that has none`,
    'nothing was touched. To bring back an earlier moment of a site that runs: tsx scripts/backup_restore.ts ' +
      `--at. Only if what is in that database is worth nothing: docker compose down, docker volume rm ${volume}, ` +
      'then run this again',
  )

/**
 * Whether the data of a recovery that was begun here are in their place, complete. Throws a Failure (78) when this
 * machine has a database that is of no recovery, even an empty one: it is not touched. While no engine answers there is
 * none.
 */
export async function isPlaced(settings: Settings) {
  if (!isInstalled('docker') || (await attempt(docker('version'))).code !== 0) return false
  const volumes = [...new Set([...(await volumesOf(settings.COMPOSE_PROJECT_NAME, 'postgres')), volumeOf(settings)])]
  const held = await Promise.all(volumes.map(hasData))
  const volume = volumes.find((_, index) => held[index])
  if (volume === undefined) return false
  const note = readRecovery()
  if (!note || volume !== volumeOf(settings)) throw refusal(volume)
  const made = await lookInto(volume)
  if (made === '') return false
  if (made === (note.kind === 'archive' ? note.name : 'first-start')) return true
  throw refusal(volume)
}
