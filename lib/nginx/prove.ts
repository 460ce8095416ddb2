// What visitors would get, asked from nginx's container: of a new instance before any of them reaches it, and through
// nginx after a switch.
// Long, since what a visitor would get is asked in one place.
import { Failure } from '../system/errors.ts'
import { addressFor, type Instance } from '../docker/containers.ts'
import { sleep } from '../system/signals.ts'
import { type Nginx, ofEach } from './container.ts'
import { type SmokeTest, troubleIn } from '../docker/smoke.ts'
import type { App, Stack } from '../docker/stack.ts'
import type { Run } from '../system/shell_session.ts'

/** What came back: the status, 0 without one, and in words why it is not what is expected; undefined when it is. */
interface Asked {
  status: number
  trouble: string | undefined
}

/** Asks by a program of nginx's image, with the headers that nginx would send for a visitor. */
const ask = async (
  run: Run,
  site: string,
  origin: string,
  test: SmokeTest,
  options: { signal?: AbortSignal } = {},
): Promise<Asked> => {
  const headers = [
    `Host: ${site}`,
    'X-Forwarded-Proto: https',
    'X-Forwarded-For: 127.0.0.1',
    'X-Real-IP: 127.0.0.1',
  ].flatMap(header => ['--header', header])
  const outcome = await run(
    [
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
    ],
    options,
  )
  const end = outcome.stdout.lastIndexOf('\n')
  const [status = '', location = ''] = outcome.stdout.slice(end + 1).split(' ')
  const error = outcome.stderr.trim()
  if (error) return { status: 0, trouble: `${test.path} is not answered: ${error}` }
  const answer = { status: Number(status), location, body: outcome.stdout.slice(0, Math.max(end, 0)) }
  return { status: answer.status, trouble: troubleIn(test, answer) }
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

/** What has answered an app's tests, as far as they were answered well, and why not all were. */
export interface Answered {
  answers: { path: string; status: number }[]
  trouble: string | undefined
}

/** How long an app that is healthy may take until all that its pages need has started, in milliseconds. */
const PATIENCE = 15_000

/** Asks for what a visitor would see of an app (App.smoke), at an address that `run` reaches. Throws when aborted. */
export async function askApp(run: Run, { site }: Stack, { smoke }: App, origin: string, over?: AbortSignal) {
  const end = Date.now() + PATIENCE
  const answers: Answered['answers'] = []
  for (const test of smoke) {
    let status = 0
    const once = async () => {
      const asked = await ask(run, site, origin, test, over ? { signal: over } : {})
      status = asked.status
      return asked.trouble
    }
    const trouble = await lastTrouble(once, end, over)
    if (trouble !== undefined) return { answers, trouble }
    answers.push({ path: test.path, status })
  }
  return { answers, trouble: undefined }
}

/**
 * Asks a new instance, before any visitor reaches it, for what a visitor would see. Throws a Failure when an answer is
 * not the expected one within some seconds.
 */
export async function proveInstance(nginx: Nginx, stack: Stack, app: App, instance: Instance, signal: AbortSignal) {
  const address = addressFor(nginx, instance)
  if (!address)
    throw new Failure(`${instance.name} and nginx are in no network together`, {
      hint: 'docker compose up -d nginx, or correct networks in docker-compose.yml',
    })
  await ofEach(nginx, async one => {
    const { trouble } = await askApp(one.run, stack, app, `http://${address}:${app.port}`, signal)
    if (trouble !== undefined) throw new Failure(`${instance.name} is healthy, but ${trouble}`)
  })
}

/** Why a visitor would not get an app's page through nginx, in words; undefined when he would. It is asked once. */
export async function pageTrouble(nginx: Nginx, { site }: Stack, { path, smoke }: App) {
  const test = smoke.find(it => it.path === path)
  if (!test) return undefined
  return (await ask(nginx.run, site, 'http://127.0.0.1:8081', test)).trouble
}

/**
 * Throws unless requests through nginx are answered by one of `wanted` and by none of `unwanted`, and (if `judge`) with
 * what is expected of the app's path.
 */
export async function proveSwitch(nginx: Nginx, ...words: Tail<Parameters<typeof proveOne>>) {
  await ofEach(nginx, one => proveOne(one, ...words))
}

type Tail<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never

const proveOne = async (
  nginx: Nginx,
  app: App,
  judge: boolean,
  wanted: string[],
  unwanted: string[],
  signal: AbortSignal,
  patience = 10_000,
) => {
  const url = `http://127.0.0.1:8081${app.path}`
  const test = app.smoke.find(({ path }) => path === app.path)
  const tries = wanted.length > 1 ? wanted.length * 8 : 2
  const requests = Array.from({ length: tries }, () => ['--output', '/dev/null', url]).flat()
  const command = [
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
  ]
  const end = Date.now() + patience
  let seen: string[] = []
  do {
    signal.throwIfAborted()
    const answers = (await nginx.run(command, { signal })).stdout
      .trim()
      .split('\n')
      .map(line => line.split(' '))
    seen = answers.map(([status = '', upstream = '', location = '']) => {
      const good =
        judge && test ? troubleIn(test, { status: Number(status), location }) === undefined : Number(status) < 500
      return good ? upstream.split(':')[0]! : `status ${status}`
    })
    if (seen.some(address => wanted.includes(address)) && !seen.some(address => unwanted.includes(address))) return
    await sleep(50, signal)
  } while (Date.now() < end)
  signal.throwIfAborted()
  throw new Failure(
    `nginx was switched, but ${url} is answered by ${[...new Set(seen)].join(', ') || 'nobody'}, not by ` +
      wanted.join(', '),
  )
}
