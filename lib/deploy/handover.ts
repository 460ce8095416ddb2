// What an instance keeps in its memory alone (the sessions of visitors), carried to those that take its place.
import { docker, exec } from '../docker/commands.ts'
import type { Instance } from '../docker/containers.ts'
import { containerOf } from '../nginx/place.ts'
import { attempt, type Outcome } from '../system/run.ts'
import { messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { size } from '../system/format.ts'
import { sleep } from '../system/signals.ts'
import type { App } from '../docker/stack.ts'

/** Seconds that each of the two commands has. */
const PATIENCE = 30

/** Bytes that the first may print: this process holds them in its memory. */
const MOST = 64e6

/** In a few words: the line of its output that speaks of an error, which a trace may follow; otherwise the last one. */
export function whyOf({ code, stdout, stderr }: Outcome) {
  if (code === 143) return `it did not end within ${PATIENCE} s, or is more than ${size(MOST)}`
  const lines = (stderr || stdout).trim().split('\n')
  const said = lines.find(line => /error|exception/i.test(line)) ?? lines.at(-1)
  return said?.trim().slice(0, 300) || `it ended with ${code}`
}

/**
 * Carries the state of one instance to others, by the commands of its labels avril.state.save and avril.state.load. It
 * may be called again with what has come since. A failure costs visitors their login and nothing else, so it is a
 * warning. Gives whether it was carried; throws when `over` is aborted.
 */
export async function handOverState({ state }: App, from: Instance, to: Instance[], over: AbortSignal) {
  if (!state) return true
  const limit = () => ({ signal: AbortSignal.any([over, AbortSignal.timeout(PATIENCE * 1000)]) })
  let source, targets
  try {
    source = await containerOf(from)
    targets = await Promise.all(to.map(containerOf))
  } catch (error) {
    say.warn(`what ${from.name} keeps in its memory is not carried over: ${messageOf(error)}`)
    return false
  }
  const saved = await attempt(exec(source.id, ...state.save), { ...limit(), most: MOST, engine: source.engine })
  over.throwIfAborted()
  if (saved.code !== 0) {
    say.warn(
      `what ${from.name} keeps in its memory cannot be saved (${whyOf(saved)}): visitors may have to log in again`,
    )
    return false
  }
  if (saved.stdout.trim() === '') return true
  const loaded = await Promise.all(
    targets.map(({ id, engine }) =>
      attempt(docker('exec', '--interactive', id, ...state.load), {
        ...limit(),
        most: MOST,
        input: saved.stdout,
        engine,
      }),
    ),
  )
  over.throwIfAborted()
  const failed = loaded.find(({ code }) => code !== 0)
  if (failed)
    say.warn(
      `what ${from.name} keeps in its memory cannot be taken over (${whyOf(failed)}): visitors may have to log in ` +
        'again',
    )
  return failed === undefined
}

/**
 * Hands over again and again what comes to an old instance while it drains: at once, every few seconds, and when it has
 * no request left. A visitor whose session was renewed in the moment of the switch must not wait for the slowest
 * request of the others. Ends early when that fails.
 */
export async function keepHandingOver(handOver: () => Promise<boolean>, drained: Promise<void>, pause = 3000) {
  const over = new AbortController()
  const end = () => over.abort()
  drained.then(end, end)
  for (;;) {
    const last = over.signal.aborted
    if (!(await handOver()) || last) return
    if (!over.signal.aborted) await sleep(pause, over.signal)
  }
}
