// Connections as browsers hold them: opened once, used again and again. Each has an agent of its own with room for one,
// so that it is known which one a request travels on and how long that was idle. Node never sends a request a second
// time by itself.
import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'

export interface Connection {
  agent: Agent
  /** from when it may be used again */
  ready: number
  /** after which it is given up */
  expires: number
}

const open = (tls: boolean): Connection => ({
  agent: new (tls ? TlsAgent : Agent)({ keepAlive: true, maxSockets: 1 }),
  ready: 0,
  expires: Infinity,
})

/** Reused in turn, each as soon as it is free. There are more when all of `size` are busy. */
export function busyPool(size: number, tls: boolean) {
  const free: Connection[] = []
  let opened = 0
  const take = () => {
    const connection = opened >= size ? free.shift() : undefined
    if (connection === undefined) opened += 1
    return connection ?? open(tls)
  }
  const give = (connection: Connection) => {
    free.push(connection)
  }
  return { take, give, close: () => free.forEach(({ agent }) => agent.destroy()) }
}

/**
 * Each is left idle for a random time between the limits (ms) before it is used again. There are as many as the rate
 * needs.
 */
export function idlePool([least, most]: readonly [number, number], tls: boolean) {
  let free: Connection[] = []
  const take = () => {
    const now = performance.now()
    free.filter(({ expires }) => expires < now).forEach(({ agent }) => agent.destroy())
    free = free.filter(({ expires }) => expires >= now)
    const index = free.findIndex(({ ready }) => ready <= now)
    return free.splice(index, index < 0 ? 0 : 1)[0] ?? open(tls)
  }
  const give = (connection: Connection) => {
    const now = performance.now()
    free.push({
      agent: connection.agent,
      ready: now + least + Math.random() * (most - least) * 0.9,
      expires: now + most,
    })
  }
  return { take, give, close: () => free.forEach(({ agent }) => agent.destroy()) }
}

export type Pool = ReturnType<typeof busyPool>
