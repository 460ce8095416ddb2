// What visitors would get, asked from nginx's container: of a new instance before any of them reaches it, and through
// nginx after a switch.
import { exec } from '../docker/commands.ts'
import { Failure } from '../system/errors.ts'
import { addressFor, type Instance } from '../docker/containers.ts'
import { attempt } from '../system/run.ts'
import { sleep } from '../system/signals.ts'
import { type SmokeTest, troubleIn } from '../docker/smoke.ts'
import type { App, Stack } from '../docker/stack.ts'

/**
 * Why an answer is not the expected one, in words; undefined when it is. It is asked from nginx's container, with the
 * headers that nginx would send for a visitor.
 */
const troubleAt = async (
  nginx: Instance,
  site: string,
  origin: string,
  test: SmokeTest,
  options: { signal?: AbortSignal } = {},
) => {
  const headers = [
    `Host: ${site}`,
    'X-Forwarded-Proto: https',
    'X-Forwarded-For: 127.0.0.1',
    'X-Real-IP: 127.0.0.1',
  ].flatMap(header => ['--header', header])
  const outcome = await attempt(
    exec(
      nginx.id,
      'curl',
      '--silent',
      '--show-error',
      '--globoff',
      '--path-as-is',
      '--max-time',
      '10',
      '--max-filesize',
      '16M',
      ...headers,
      '--write-out',
      '\n%{http_code} %header{location}',
      `${origin}${test.path}`,
    ),
    options,
  )
  const end = outcome.stdout.lastIndexOf('\n')
  const [status = '', location = ''] = outcome.stdout.slice(end + 1).split(' ')
  const error = outcome.stderr.trim()
  if (error) return `${test.path} is not answered: ${error}`
  return troubleIn(test, { status: Number(status), location, body: outcome.stdout.slice(0, Math.max(end, 0)) })
}

/**
 * Asks again until nothing is wrong any more, or it is past `end` (as Date.now() tells it); gives what is wrong then.
 * Throws when `over` is aborted.
 */
export async function lastTrouble(ask: () => Promise<string | undefined>, end: number, over?: AbortSignal) {
  for (;;) {
    const trouble = await ask()
    over?.throwIfAborted()
    if (trouble === undefined || Date.now() > end) return trouble
    await sleep(250, over)
  }
}

/**
 * Asks a new instance, before any visitor reaches it, for what a visitor would see (App.smoke). Throws a Failure when
 * an answer is not the expected one within some seconds: its health check may be good before all that its pages need
 * has started.
 */
export async function proveInstance(
  nginx: Instance,
  { site }: Stack,
  { port, smoke }: App,
  instance: Instance,
  signal: AbortSignal,
  patience = 15_000,
) {
  const address = addressFor(nginx, instance)
  if (!address)
    throw new Failure(`${instance.name} and nginx are in no network together`, {
      hint: 'docker compose up -d nginx, or correct networks in docker-compose.yml',
    })
  const end = Date.now() + patience
  for (const test of smoke) {
    const trouble = await lastTrouble(
      () => troubleAt(nginx, site, `http://${address}:${port}`, test, { signal }),
      end,
      signal,
    )
    if (trouble !== undefined) throw new Failure(`${instance.name} is healthy, but ${trouble}`)
  }
}

/** Why a visitor would not get an app's page through nginx, in words; undefined when he would. It is asked once. */
export async function pageTrouble(nginx: Instance, { site }: Stack, { path, smoke }: App) {
  const test = smoke.find(it => it.path === path)
  if (!test) return undefined
  return troubleAt(nginx, site, 'http://127.0.0.1:8081', test)
}

/**
 * Throws unless requests through nginx are answered by one of `wanted` and by none of `unwanted`, and (if `judge`) with
 * what is expected of the app's path.
 */
export async function proveSwitch(
  nginx: Instance,
  app: App,
  judge: boolean,
  wanted: string[],
  unwanted: string[],
  signal: AbortSignal,
  patience = 10_000,
) {
  const url = `http://127.0.0.1:8081${app.path}`
  const test = app.smoke.find(({ path }) => path === app.path)
  const tries = wanted.length > 1 ? wanted.length * 8 : 2
  const requests = Array.from({ length: tries }, () => ['--output', '/dev/null', url]).flat()
  const command = exec(
    nginx.id,
    'curl',
    '--silent',
    // While a release is tried on a part of the visitors: as one of them.
    '--cookie',
    'avril_group=0',
    '--max-time',
    '10',
    '--write-out',
    '%{http_code} %header{x-upstream} %header{location}\n',
    ...requests,
  )
  const end = Date.now() + patience
  let seen: string[] = []
  do {
    signal.throwIfAborted()
    const answers = (await attempt(command, { signal })).stdout
      .trim()
      .split('\n')
      .map(line => line.split(' '))
    seen = answers.map(([status = '', upstream = '', location = '']) => {
      const good =
        judge && test ? troubleIn(test, { status: Number(status), location }) === undefined : Number(status) < 500
      return good ? (upstream.split(':')[0] ?? '') : `status ${status}`
    })
    if (seen.some(address => wanted.includes(address)) && !seen.some(address => unwanted.includes(address))) return
    await sleep(50, signal)
  } while (Date.now() < end)
  signal.throwIfAborted()
  throw new Failure(
    `nginx was switched, but ${url} is answered by ${[...new Set(seen)].join(', ') || 'nobody'}, not by ${wanted.join(', ')}`,
  )
}
