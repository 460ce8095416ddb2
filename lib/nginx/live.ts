// nginx as the switch: a file says who is live, and nginx takes it up into memory that its workers share
// (nginx/live.js). No connection is touched: what was given to the former instances ends there, and is counted until it
// has.
// Long, since what one nginx is told, and what several are, has to be read together.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Instance } from '../docker/containers.ts'
import type { App } from '../docker/stack.ts'
import { root } from '../system/checkout.ts'
import { Failure } from '../system/errors.ts'
import { readIfThere, replaceFile } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { loadSettings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'
import { askNginx, type Nginx, ofEach, othersOf } from './container.ts'

/** The files that say who is live. */
export const LIVE = join(root, 'nginx', 'live')

const UPSTREAM = v.object({
  /** the name of an instance, or what all instances of a rollout are called, and the port */
  address: v.string(),
  /** the rollout that brought it; null when Compose started it by itself */
  rollout: v.nullable(v.string()),
})

/** Where nginx sends the requests of an app: they are spread over several. */
export type Upstream = v.InferOutput<typeof UPSTREAM>

const ROUTE = v.object({
  upstreams: v.array(UPSTREAM),
  /** while a release is observed: the one before, to which nginx goes back by itself when most answers are errors */
  former: v.exactOptional(v.array(UPSTREAM)),
  /** how many visitors of a hundred get the new one; the others get the former; without it all */
  percent: v.exactOptional(v.number()),
})

/** Where the requests of an app go. */
export type Route = v.InferOutput<typeof ROUTE>

const COUNTS = v.record(v.string(), v.number())
// `open` has the websockets too.
const STATE = v.object({ route: ROUTE, open: COUNTS, waiting: COUNTS })

const liveFile = (service: string) => join(LIVE, `${service}.json`)

/** The instances themselves, by their names. */
export function upstreamsOf({ port }: Pick<App, 'port'>, instances: Pick<Instance, 'name' | 'rollout'>[]): Upstream[] {
  return instances.map(({ name, rollout = null }) => ({ address: `${name}:${port}`, rollout }))
}

/**
 * All instances of a rollout, also those that Compose makes again later; without a rollout whatever the service has.
 */
export function upstreamsOfRollout({ port }: Pick<App, 'port'>, rollout: string | undefined): Upstream[] {
  return rollout === undefined ? [] : [{ address: `${rollout}:${port}`, rollout }]
}

/** Whether requests are sent to an instance: by its own name, or by the rollout that brought it. */
export function sendsTo(upstreams: Upstream[], { name, rollout }: Pick<Instance, 'name' | 'rollout'>) {
  return upstreams.some(({ address }) => [name, rollout].includes(address.replace(/:\d+$/, '')))
}

const textOf = (route: Route) => `${JSON.stringify(route)}\n`
const NOTHING: Route = { upstreams: [] }

/**
 * Who is live by the file that a deploy has left, while a release is observed the one before; none when nothing was
 * switched yet, and when it is damaged: then nginx asks Docker's DNS for the service's name.
 */
export function readLiveFile(service: string): Upstream[] {
  try {
    const { upstreams, former } = v.parse(ROUTE, JSON.parse(readIfThere(liveFile(service)) ?? textOf(NOTHING)))
    return former ?? upstreams
  } catch {
    return []
  }
}

const stateIn = (text: string) => {
  try {
    return v.parse(STATE, JSON.parse(text))
  } catch {
    return undefined
  }
}

const readState = async (nginx: Nginx, service: string) => stateIn((await askNginx(nginx, `/live/${service}`)).stdout)

/** Whether nginx has read a configuration by which it can be switched. */
export async function canSwitch(nginx: Nginx, service: string) {
  return (await readState(nginx, service)) !== undefined
}

/** Whether nginx sends requests as a route says, and will after it was started again. */
export async function isRouted(nginx: Nginx, service: string, route: Route) {
  const wanted = textOf(route)
  if ((readIfThere(liveFile(service)) ?? textOf(NOTHING)) !== wanted) return false
  const routed = await ofEach(nginx, async one => {
    const state = await readState(one, service)
    return state !== undefined && textOf(state.route) === wanted
  })
  return routed.every(Boolean)
}

const knownState = async (nginx: Nginx, service: string) => {
  const state = await readState(nginx, service)
  if (state) return state
  throw new Failure('nginx does not say who is live', {
    hint: 'docker compose logs nginx, and docker compose up -d nginx',
  })
}

/** Who is live by nginx's own word. Throws a Failure when it says nothing. */
export async function readRoute(nginx: Nginx, service: string): Promise<Route> {
  return (await knownState(nginx, service)).route
}

/** How many requests instances have not answered yet, websockets aside. Throws a Failure when nginx does not say. */
export async function waitingAt(nginx: Nginx, service: string, instances: Pick<Instance, 'name' | 'rollout'>[]) {
  const isTheirs = (address: string) => instances.some(instance => sendsTo([{ address, rollout: null }], instance))
  const counts = await ofEach(nginx, async one => {
    const { waiting } = await knownState(one, service)
    return Object.entries(waiting).reduce((sum, [address, count]) => sum + (isTheirs(address) ? count : 0), 0)
  })
  return sumOf(counts)
}

const sumOf = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0)

const writeText = (service: string, text: string | undefined) => {
  mkdirSync(LIVE, { recursive: true })
  if (text === undefined) rmSync(liveFile(service), { force: true })
  else replaceFile(liveFile(service), text)
}

/** Leaves it to the next start of nginx, or the next switch. */
export function writeLiveFile(service: string, route: Route) {
  writeText(service, route.upstreams.length === 0 ? undefined : textOf(route))
}

/**
 * Sends an app's requests to these from now on: those that begin after it has returned. None: to all that Docker's DNS
 * names. Throws a Failure when it cannot, and nothing has changed then.
 */
export async function switchLive(nginx: Nginx, service: string, route: Route) {
  const before = readIfThere(liveFile(service))
  writeLiveFile(service, route)
  try {
    await takeUp({ ...nginx, others: [] }, service, route)
  } catch (error) {
    writeText(service, before)
    throw error
  }
  // From here on the others would learn it by themselves; who has heard it now need not be waited for.
  if (othersOf(nginx).length > 0) await ofEach(nginx, one => takeUp(one, service, route, TRIES))
}

/** how often the nginx of another node is asked: it asks that of this one, which a busy machine lets answer late */
const TRIES = 3

// A POST has this machine's take up the file, and others what this one says.
const takeUp = async (nginx: Nginx, service: string, route: Route, tries = 1) => {
  const outcome = await askNginx(nginx, `/live/${service}`, '--request', 'POST')
  const taken = outcome.code === 0 ? stateIn(outcome.stdout) : undefined
  if (taken && textOf(taken.route) === textOf(route)) return
  if (tries === 1) throw new Failure(`nginx could not be switched: ${(outcome.stdout + outcome.stderr).trim()}`)
  await sleep(1000)
  await takeUp(nginx, service, route, tries - 1)
}

/**
 * Waits until every request has ended that was given to an instance which is not live any more, for DRAIN_SECONDS at
 * most; gives how many have not.
 */
export async function awaitDrained(nginx: Nginx, service: string, signal: AbortSignal) {
  const left = await ofEach(nginx, one => drainedOf(one, service, signal))
  if (nginx.left.size > 0) await awaitUnheard(nginx, signal)
  return sumOf(left)
}

// One that was left out may not know yet who is live. When it has not heard anything for so long, it asks before it
// gives a request to anybody (nginx/follow.js); what it has given to somebody before is counted nowhere.
const awaitUnheard = async ({ left }: Nginx, signal: AbortSignal) => {
  const { DRAIN_SECONDS: seconds } = loadSettings()
  say.detail(`${[...left].join(', ')}: nobody hears there whether requests have ended, so all of them get ${seconds} s`)
  await sleep(LEASE + 1000 * seconds, signal)
}

/** milliseconds: more than LEASE in nginx/follow.js, and what a request takes to be given to somebody */
const LEASE = 6000

const drainedOf = async (nginx: Nginx, service: string, signal: AbortSignal) => {
  // A worker that ends while it is asked tells nothing of the instances.
  const patient = ['--silent', '--show-error', '--fail', '--retry', '5', '--retry-all-errors', '--retry-delay', '1']
  const outcome = await nginx.run(['curl', ...patient, `http://127.0.0.1:8081/nginx/drained/${service}`], {
    signal,
    patience: 15_000 + 1000 * loadSettings().DRAIN_SECONDS,
  })
  if (outcome.code === 0) return Number(outcome.stdout)
  if (signal.aborted) return 0
  throw new Failure(`nginx does not say whether the old instances are drained: ${outcome.stderr.trim()}`)
}
