import { onAbort } from './signals.ts'

const AT_ONCE = 4

/**
 * Does the same with every item, some at a time; gives the results in the order of the items. After a failure nothing
 * more is begun.
 */
export async function mapConcurrent<T, R>(items: T[], work: (item: T) => Promise<R>) {
  const results: R[] = []
  const rest = items.entries()
  let failed = false
  const worker = async () => {
    for (const [index, item] of rest) {
      if (failed) return
      try {
        results[index] = await work(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  // What was begun has ended when this ends, so that nobody still writes into a folder that is being removed.
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return results
}

/**
 * Does different things beside each other; gives their results. As soon as one fails, or `over` is aborted, the signal
 * that all were given tells the others to end, and when all have ended the first failure is thrown: nothing goes on
 * beside what its caller does then.
 */
export async function together<T extends unknown[]>(
  begin: (signal: AbortSignal) => { [K in keyof T]: Promise<T[K]> },
  over?: AbortSignal,
) {
  over?.throwIfAborted()
  const failed = new AbortController()
  const signal = over ? AbortSignal.any([over, failed.signal]) : failed.signal
  const works: Promise<unknown>[] = begin(signal)
  const results = await Promise.all(works.map(work => work.catch(error => failed.abort(error))))
  signal.throwIfAborted()
  return results as T
}

/**
 * Gives what `work` gives, while others go on beside it (checks, say) whose success alone matters. Fails as `together`
 * does.
 */
export async function alongside<T>(
  work: (signal: AbortSignal) => Promise<T>,
  ...others: ((signal: AbortSignal) => Promise<unknown>)[]
) {
  const [result] = await together<[T, ...unknown[]]>(signal => [work(signal), ...others.map(other => other(signal))])
  return result
}

/**
 * Where so many works wait for each other: each calls what this gives, and that ends when all have. It throws when
 * `over` is aborted before: who has failed already does not come.
 */
export function rendezvous(count: number) {
  let missing = count
  const complete = new AbortController()
  return async (over: AbortSignal) => {
    over.throwIfAborted()
    missing -= 1
    if (missing <= 0) complete.abort()
    await new Promise<void>(resolve => onAbort(AbortSignal.any([complete.signal, over]), resolve))
    over.throwIfAborted()
  }
}
