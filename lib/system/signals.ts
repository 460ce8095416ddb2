// Ctrl-C, SIGTERM and a lost terminal stop what can still be undone, and let finish what cannot.
import { constants } from 'node:os'
import { Failure } from './errors.ts'
import { say } from './progress.ts'

const NAMES = { SIGINT: 'Ctrl-C', SIGTERM: 'SIGTERM', SIGHUP: 'a lost terminal (SIGHUP)' } as const

const controller = new AbortController()
let shields = 0

/** Aborted by the first signal; its reason is the Failure to end with (130, 143, 129). */
export const interruption = controller.signal

/** Ends with that Failure when a signal has come and nothing shields this work. */
export function checkInterruption() {
  if (interruption.aborted && shields === 0) throw interruption.reason as Failure
}

/** Whether this is work that signals wait for. */
export function isShielded() {
  return shields > 0
}

/**
 * Calls back once when something is aborted, and soon when that was before; gives a function that takes the call back.
 */
export function onAbort(signal: AbortSignal, callback: () => void) {
  let wanted = true
  const listener = () => wanted && callback()
  // Who is aborted already never says so again.
  if (signal.aborted) queueMicrotask(listener)
  else signal.addEventListener('abort', listener, { once: true })
  return () => {
    wanted = false
    signal.removeEventListener('abort', listener)
  }
}

/** Calls back once when a signal has come that nothing shields; gives a function that takes the call back. */
export function onInterruption(callback: () => void) {
  return onAbort(interruption, () => shields === 0 && callback())
}

/** Waits so many milliseconds, or until `over` is aborted; when a signal comes that nothing shields it throws. */
export function sleep(milliseconds: number, over?: AbortSignal) {
  return new Promise<void>((resolve, reject) => {
    checkInterruption()
    const end = (settle: () => void) => () => {
      clearTimeout(timer)
      for (const forget of listeners) forget()
      settle()
    }
    const timer = setTimeout(end(resolve), milliseconds)
    const listeners = [
      onInterruption(end(() => reject(interruption.reason as Failure))),
      ...(over ? [onAbort(over, end(resolve))] : []),
    ]
  })
}

/** Runs work that must not be left half done: signals wait until it has ended. */
export async function shielded<T>(work: () => Promise<T>) {
  shields += 1
  try {
    return await work()
  } finally {
    shields -= 1
  }
}

/** Called once by each command, before it changes anything. */
export function listenForSignals() {
  for (const [signal, name] of Object.entries(NAMES) as [keyof typeof NAMES, string][]) {
    process.on(signal, () => {
      if (interruption.aborted || shields > 0) say.line(`${name}: please wait, this step is being finished`)
      controller.abort(new Failure(`stopped by ${name}`, { exitCode: 128 + constants.signals[signal] }))
    })
  }
}
