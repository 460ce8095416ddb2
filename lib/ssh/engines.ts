// The engines of other machines, each reached through one connection of ssh that lasts as long as this process.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EXIT, Failure } from '../system/errors.ts'
import { hold } from '../system/run.ts'
import type { Disposable } from '../system/scope.ts'
import { NO_CONNECTION, ssh, unreachable } from './commands.ts'

/** milliseconds in which a shell must have started there: a machine whose disk is gone may still let somebody in */
const PATIENCE = 30_000

/**
 * Carries an address here to one of another machine, until it is disposed of. Throws a Failure (69) when that cannot
 * be.
 */
export async function forward(host: string, from: string, to: string, what: string): Promise<Disposable> {
  const limit = AbortSignal.timeout(PATIENCE)
  const { release, ...outcome } = await hold(
    ssh(host, { batch: true, forward: `${from}:${to}` }, 'echo ready; exec cat >/dev/null'),
    { signal: limit },
  )
  if (release) return { dispose: release }
  if (limit.aborted) throw unreachable(host, 'no shell has started: timed out')
  if (outcome.code === NO_CONNECTION && !/local forwarding|forwarding request failed/.test(outcome.stderr))
    throw unreachable(host, outcome.stderr)
  throw new Failure(`${what} cannot be reached through ssh: ${outcome.stderr.trim()}`, {
    exitCode: EXIT.unreachable,
    hint:
      'does its sshd allow forwarding (AllowTcpForwarding, AllowStreamLocalForwarding), and may this user use ' +
      `Docker there (ssh ${host} docker ps)?`,
  })
}

const opened = new Map<string, Promise<string>>()

const open = async (host: string) => {
  const folder = mkdtempSync(join(tmpdir(), 'avril-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const socket = join(folder, 'docker')
  await forward(host, socket, '/var/run/docker.sock', `Docker on ${host}`)
  return `unix://${socket}`
}

/**
 * The engine of a host (RunOptions.engine). Throws a Failure (69) when it cannot be reached; asked again, it tries
 * again.
 */
export async function engineOf(host: string): Promise<string> {
  const engine = opened.get(host) ?? open(host)
  opened.set(host, engine)
  try {
    return await engine
  } catch (error) {
    opened.delete(host)
    throw error
  }
}
