const AT_ONCE = 4

/** Does the same with every item, some at a time; gives the results in the order of the items. After a failure nothing more is begun. */
export const several = async <T, R>(items: T[], work: (item: T) => Promise<R>) => {
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
