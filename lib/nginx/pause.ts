// Requests of an app wait in nginx (nginx/pause.js) while its database changes under it: nobody sees an error,
// everybody waits once. A pause is said again as long as this process lives; else nginx ends it by itself.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, messageOf } from '../system/errors.ts'
import { counted, seconds } from '../system/format.ts'
import { say } from '../system/progress.ts'
import type { Disposable } from '../system/scope.ts'
import { shielded } from '../system/signals.ts'
import { askNginx, type Nginx, ofEach } from './container.ts'
import { LIVE } from './live.ts'
import { lastTrouble } from './prove.ts'

/** seconds that a request waits at most: LONGEST in nginx/pause.js */
const LONGEST = 30

/** milliseconds: well within LEASE in nginx/pause.js */
const SAID_AGAIN = 10_000

/** milliseconds in which the end of a pause is said again until nginx hears it */
const END_PATIENCE = 2000

// It says that there may be a pause: without it nginx does not even look. One that is left behind costs a little time.
const MARK = join(LIVE, 'paused')
const markPause = (isThere: boolean) => {
  if (isThere) writeFileSync(MARK, '')
  else rmSync(MARK, { force: true })
}

const ask = async (nginx: Nginx, method: 'GET' | 'POST' | 'DELETE', path: string) => {
  const { code, stdout, stderr } = await askNginx(nginx, path, '--request', method)
  return code === 0 ? { answer: stdout.trim() } : { trouble: stderr.trim() || `curl ended with ${code}` }
}

/** A pause; disposing of it ends it for all of its apps. */
export interface Pause extends Disposable {
  /** ends it for one app */
  end: (service: string) => Promise<void>
  /** how many requests of an app have waited in vain, once it has ended */
  refused: (service: string) => number
}

/**
 * Has the requests of apps wait from now on, and ends when those that are on their way have been answered, or after 10
 * s. Throws a Failure when nginx cannot do it; nothing waits then.
 */
export async function pauseRequests(nginx: Nginx, services: string[]): Promise<Pause> {
  const began = performance.now()
  const paused = new Set<string>()
  const begin = async (service: string) => {
    markPause(true)
    await ofEach(nginx, async one => {
      const { answer, trouble } = await ask(one, 'POST', `/paused/${service}`)
      if (answer !== 'true')
        throw new Failure(`nginx cannot have the requests of ${service} wait: ${trouble || answer}`)
    })
  }
  const saying = new Map<string, Promise<void>>()
  const refused = new Map<string, number>()
  let warned = false
  const sayAgain = async (service: string) => {
    try {
      await begin(service)
    } catch (error) {
      if (!warned) say.warn(messageOf(error))
      warned = true
    }
  }
  const again = setInterval(() => {
    for (const service of paused) saying.set(service, sayAgain(service))
  }, SAID_AGAIN)
  const late = setTimeout(
    () => say.warn(`requests have waited for ${LONGEST} s: from now on some get a page that says so (503)`),
    LONGEST * 1000,
  )
  const end = (service: string) =>
    shielded(async () => {
      if (!paused.delete(service)) return
      if (paused.size === 0) for (const timer of [again, late]) clearTimeout(timer)
      // Said after the end, it would begin another pause.
      await saying.get(service)
      const count = await endOne(nginx, service)
      refused.set(service, count)
      if (paused.size === 0) markPause(false)
      say.done(`requests of ${service} go on, after ${seconds(performance.now() - began)}`)
      if (count > 0) say.warn(`${counted(count, 'request')} waited for ${LONGEST} s and got a page that says so (503)`)
    })
  const dispose = async () => {
    for (const service of paused) await end(service)
  }
  try {
    for (const service of services) {
      paused.add(service)
      await begin(service)
    }
    const quiet = (one: Nginx) => Promise.all(services.map(service => ask(one, 'GET', `/quiet/${service}`)))
    const left = (await ofEach(nginx, quiet)).flat()
    const silent = left.find(({ answer }) => answer === undefined)
    if (silent) throw new Failure(`nginx does not say what is on its way: ${silent.trouble}`)
    const open = left.reduce((sum, { answer }) => sum + Number(answer), 0)
    if (open > 0) say.detail(`${open} requests have begun before and not ended within 10 s: they may fail`)
    return { end, dispose, refused: service => refused.get(service) ?? 0 }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Ends the pauses that somebody else has begun, if there are any. One that nginx does not hear of ends by itself. */
export async function endPauses(nginx: Nginx, services: string[]) {
  for (const service of services) await endOne(nginx, service)
  markPause(false)
}

/** Gives how many have waited in vain. */
const endOne = async (nginx: Nginx, service: string) =>
  (await ofEach(nginx, one => endAt(one, service))).reduce((sum, count) => sum + count, 0)

const endAt = async (nginx: Nginx, service: string) => {
  let count: string | undefined
  const end = async () => {
    const { answer, trouble } = await ask(nginx, 'DELETE', `/paused/${service}`)
    count = answer
    return trouble
  }
  const trouble = await lastTrouble(end, Date.now() + END_PATIENCE)
  if (trouble !== undefined)
    say.warn(`nginx was not told that requests of ${service} go on, which they do within ${LONGEST} s: ${trouble}`)
  // One with a configuration of before says another word.
  return Number(count) || 0
}
