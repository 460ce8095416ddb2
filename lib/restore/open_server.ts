// The server that a restore works with: the stack's own, or, when that does not run, one in a container of its own on
// the same data.
// Long, since what was stopped or started for a restore is put back here, whatever happens.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { compose, containerIds, docker, logs, removeContainers, restart, start, stop } from '../docker/commands.ts'
import { mainFile } from '../docker/compose_files.ts'
import { root } from '../system/checkout.ts'
import type { Settings } from '../system/settings.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { idsWith, type Instance, listInstances } from '../docker/containers.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { ACCOUNT, attemptInServer, inServer, loginsOf, openSessions, type Server } from '../postgres/server.ts'
import { attempt, capture, hold } from '../system/run.ts'
import { say } from '../system/progress.ts'
import type { Disposable } from '../system/scope.ts'
import { shielded } from '../system/signals.ts'
import type { Stack } from '../docker/stack.ts'
import { watchService } from '../docker/container_events.ts'

const LABEL = 'avril.restore'
const SERVICE = 'postgres'

/** seconds that a server that has begun to start is given (it may be reading its log after a crash) */
const PATIENCE = 120

/** Disposing of it ends the container of its own, if there is one, and leaves the stack's own server as it was. */
export interface OpenServer extends Disposable {
  server: Server
  /** it is a container of its own: no app can reach it */
  alone: boolean
  /** The same, then starts the stack's own server and waits until it is healthy. */
  handOver: () => Promise<void>
}

const answers = async (server: Server) =>
  (await attemptInServer(server, inServer(server, 'pg_isready', '--quiet', `--username=${server.user}`))).code === 0

const becomesHealthy = async ({ project }: Stack, { id, name }: Instance) => {
  const watch = watchService(project, SERVICE)
  try {
    say.step(`waiting for ${name} to get ready`)
    return await watch.untilHealthy(id, name, PATIENCE).then(
      () => true,
      () => false,
    )
  } finally {
    watch.stop()
  }
}

/**
 * Ends what a restore that was killed or stopped has left, in so many seconds: its server ends by itself when its
 * standard input is closed, unless it was only just being made then.
 */
const endFormer = async ({ project }: Stack, patience: number) => {
  const ids = await idsWith([`${LABEL}=${project}`])
  if (ids.length === 0) return
  await attempt(docker('stop', '--time', String(patience), ...ids))
  await attempt(removeContainers(ids))
}

const serveAlone = async ({ project }: Stack) => {
  const words = [
    'run',
    '--rm',
    '--no-deps',
    '--no-TTY',
    '--quiet-pull',
    '--user',
    ACCOUNT,
    '--label',
    `${LABEL}=${project}`,
    '--entrypoint',
    'bash',
  ]
  // Neither an override of a person's nor a pin: what they change may be what keeps the server from starting.
  const command = compose(
    [mainFile()],
    ...words,
    SERVICE,
    '-c',
    readFileSync(join(root, 'postgres', 'alone.sh'), 'utf8'),
  )
  // A client that is told to end while it makes the container leaves it behind; the end of its standard input reaches
  // the container whenever it begins.
  const { release, stderr } = await hold(command, { patience: 3000 })
  const id = release && (await attempt(containerIds(`${LABEL}=${project}`))).stdout.trim()
  if (release && id)
    return {
      id,
      release,
      image: (await attempt(docker('container', 'inspect', '--format', '{{.Config.Image}}', id))).stdout.trim(),
    }
  await release?.()
  throw new Failure(
    `postgres does not start, and a container of its own on the same data neither:\n  ` +
      stderr.trim().split('\n').slice(-8).join('\n  '),
    {
      exitCode: EXIT.unreachable,
      hint: stderr.includes('another server is using this data')
        ? 'nothing was changed: a server has just started with them; run this again'
        : 'nothing was changed. With WAL=on the archive has all that was committed: scripts/backup_restore.ts ' +
          '--whole-server. Without any data the first start restores db/dumps/latest.dump by itself: docker compose ' +
          'up -d postgres',
    },
  )
}

const handOver = async () => {
  const up = compose(
    composeFiles(),
    'up',
    '--detach',
    '--no-build',
    '--wait',
    '--wait-timeout',
    String(PATIENCE),
    SERVICE,
  )
  const hint =
    'the database is restored, but postgres does not start: scripts/logs.ts postgres says why; then docker ' +
    'compose up -d'
  await capture(up, { what: 'starting postgres', hint })
}

/** Opens the server of the stack. Throws a Failure (69) when neither it nor a container of its own serves the data. */
export async function openServer(stack: Stack, settings: Settings): Promise<OpenServer> {
  const logins = loginsOf(settings)
  await endFormer(stack, PATIENCE)
  const own = (await listInstances(stack.project, SERVICE)).find(({ running, oneOff }) => running && !oneOff)
  if (own) {
    const server = { id: own.id, name: own.name, image: own.image, ...logins }
    if (
      (await answers(server)) ||
      (own.health === 'starting' && (await becomesHealthy(stack, own)) && (await answers(server)))
    )
      return { server: await openSessions(server), alone: false, dispose: () => {}, handOver: async () => {} }
    say.warn(`${own.name} does not answer:`)
    say.detail((await attempt(logs(own.id, '--tail', '5'))).stderr.trim())
  }
  return openAlone(stack, own, logins)
}

const openAlone = async (
  stack: Stack,
  own: Instance | undefined,
  logins: Pick<Server, 'user' | 'app' | 'database'>,
): Promise<OpenServer> => {
  let release = async () => {}
  // What was stopped is started again whatever happens: a signal, too.
  const dispose = () =>
    shielded(async () => {
      await release()
      if (own) await attempt(start(own.id))
    })
  // A signal ends the client that gave the order to stop, not the engine's work on it: an order to start would find it
  // running still.
  const callOff = () =>
    shielded(async () => {
      await release()
      await endFormer(stack, 5)
      if (own) await attempt(restart(own.id))
    })
  try {
    if (own) await capture(stop(own.id))
    say.step('postgres does not run: a container of its own serves its data meanwhile')
    const alone = await serveAlone(stack)
    release = alone.release
    const server = await openSessions({
      id: alone.id,
      name: `${stack.project}'s data, in a container of its own`,
      image: alone.image,
      ...logins,
    })
    const goOn = async () => {
      await release()
      await handOver()
    }
    return { server, alone: true, dispose, handOver: goOn }
  } catch (error) {
    await callOff()
    throw error
  }
}
