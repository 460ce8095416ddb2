// Whether Docker is there, in a version that can read docker-compose.yml. lib/docker/engine.sh installs it.
import { EXIT, Failure } from '../system/errors.ts'
import { attempt } from '../system/run.ts'
import { docker } from './commands.ts'

/** Gives the version of Compose. Throws a Failure (69) when it is missing or too old. */
export async function checkCompose() {
  const { code, stdout } = await attempt(['docker', 'compose', 'version', '--short'])
  const version = stdout.trim().replace(/^v/, '')
  if (code === 0 && version.localeCompare('2.24.6', 'en', { numeric: true }) >= 0) return stdout.trim()
  const v1 = (await attempt(['docker-compose', '--version'])).code === 0
  const found = v1 ? 'only Docker Compose v1 (docker-compose) is installed' : 'Docker Compose is not installed'
  const advice = v1
    ? 'v1 has had no fixes since 2023 and cannot read this docker-compose.yml; install the package of version 2 ' +
      'beside it: '
    : 'install the package '
  throw new Failure(
    `${code === 0 ? `Docker Compose ${stdout.trim()} is too old` : found}: 2.24.6 or later is needed, as "docker ` +
      'compose"',
    {
      exitCode: EXIT.unreachable,
      hint: `${advice}docker-compose (Debian 13), docker-compose-v2 (Ubuntu) or docker-compose-plugin (docker.com)`,
    },
  )
}

/** Gives the version of the engine. Throws a Failure (69) when it does not answer. */
export async function checkEngine() {
  const outcome = await attempt(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (outcome.code === 0) return outcome.stdout.trim()
  if (outcome.code === 127)
    throw new Failure('Docker is not installed', {
      exitCode: EXIT.unreachable,
      hint: 'as root: tsx scripts/setup.ts, or see https://docs.docker.com/engine/install/',
    })
  throw new Failure(`the Docker engine does not answer: ${outcome.stderr.trim().split('\n').at(-1)}`, {
    exitCode: EXIT.unreachable,
    hint: 'is it running (systemctl status docker), and may this user talk to it (group docker)?',
  })
}

/** The folder in which the engine keeps images and volumes, as the engine calls it; '' when it does not answer. */
export async function engineFolder() {
  return (await attempt(docker('info', '--format', '{{.DockerRootDir}}'))).stdout.trim()
}
