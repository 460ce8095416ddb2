// When requests are due, and of which kind each is: decided by the clock alone, never by how earlier requests fared.

/**
 * - keepalive: GET on a pool of reused connections
 * - idle: GET on a connection that was idle for 1 to 3 seconds
 * - post: POST on such a connection, the echo is compared byte for byte
 * - fresh: GET on a connection of its own
 * - slow: GET that takes 3 seconds
 * - websocket: text on the one open websocket, the echo is compared
 * - upload: POST whose body takes 20 seconds to come, the echo is compared; only when asked for
 * - download: GET whose answer takes 20 seconds to come; only when asked for
 */
export const KINDS = ['keepalive', 'idle', 'post', 'fresh', 'slow', 'websocket', 'upload', 'download'] as const
export type Kind = (typeof KINDS)[number]
export type Rates = Record<Kind, number>

/** Requests a second of each kind; what is not asked for otherwise goes to reused connections. */
export function mix(rate: number, asked: Partial<Rates> = {}): Rates {
  const tenth = rate / 10
  const others = {
    idle: tenth,
    post: tenth,
    fresh: tenth,
    slow: Math.min(3, tenth),
    websocket: Math.min(2, tenth),
    upload: 0,
    download: 0,
    ...asked,
  }
  const { idle, post, fresh, slow, websocket, upload, download } = others
  const sum = idle + post + fresh + slow + websocket + upload + download
  const keepalive = asked.keepalive ?? rate - sum
  const rates = { ...others, keepalive }
  const possible = rate > 0 && Object.values(rates).every(value => value >= 0)
  if (!possible) throw new RangeError(`${rate} requests a second cannot be made of ${JSON.stringify(rates)}`)
  const total = sum + keepalive
  if (Math.abs(total - rate) > 1e-6) throw new RangeError(`the kinds make ${total} requests a second, not ${rate}`)
  return rates
}

/**
 * Deals the kinds out evenly (the smooth weighted round robin of nginx's upstreams): rare kinds come at regular
 * distances.
 */
export function dealer(rates: Rates) {
  const total = Object.values(rates).reduce((sum, rate) => sum + rate, 0)
  const credit = new Map<Kind, number>(KINDS.map(kind => [kind, 0]))
  return () => {
    let best: Kind = 'keepalive'
    for (const kind of KINDS) {
      credit.set(kind, (credit.get(kind) ?? 0) + rates[kind])
      if ((credit.get(kind) ?? 0) > (credit.get(best) ?? 0)) best = kind
    }
    credit.set(best, (credit.get(best) ?? 0) - total)
    return best
  }
}

/**
 * Calls `due` with the planned time of every request, in order, from `start` on; late ones are made up for at once.
 * Gives what stops it, which gives how many ms it was at work.
 */
export function everyRequest(rate: number, start: number, due: (scheduled: number) => void) {
  let count = 0
  let timer: NodeJS.Timeout | undefined
  const dueTime = () => start + (count * 1000) / rate
  const catchUp = (now: number) => {
    for (; dueTime() <= now; count += 1) due(dueTime())
  }
  const next = () => {
    catchUp(performance.now())
    timer = setTimeout(next, Math.max(1, dueTime() - performance.now()))
  }
  next()
  return () => {
    clearTimeout(timer)
    const end = performance.now()
    catchUp(end)
    return end - start
  }
}
