// A server with faults that are known and counted, to prove that the load generator sees each of them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'

export interface Faults {
  /** every n-th connection is reset as soon as it is open */
  dropConnection?: number
  /** every n-th GET is answered with 502 */
  badGateway?: number
  /** the answer to every n-th GET ends before its time */
  cutOff?: number
  /** every n-th GET is never answered */
  hang?: number
  /** every n-th echo has one wrong byte */
  wrongEcho?: number
  /** every n-th message: its websocket is closed without an echo, with this code, or without a close frame (1006) */
  closeSocket?: { every: number; code: number }
  /** no fault: every n-th message is answered, then its websocket is closed as it should be */
  endSocket?: number
  /** answers take this long (ms) */
  delay?: number
}

const every = (n: number | undefined, count: number) => n !== undefined && count % n === 0

const echo = async (request: IncomingMessage, response: ServerResponse, wrong: boolean) => {
  const body = Buffer.concat(await request.toArray())
  if (wrong) body[body.length - 1] = (body[body.length - 1] ?? 0) ^ 1
  response.end(body)
}

export async function faultyServer(faults: Faults = {}) {
  const counts = { connections: 0, gets: 0, posts: 0, messages: 0, faults: 0, idleResets: 0 }
  const lastUse = new Map<Socket, number>()
  let idleBefore = 0
  const waiting: { gets: number; wake: () => void }[] = []
  const fault = (hit: boolean) => {
    if (hit) counts.faults += 1
    return hit
  }
  // What a client meets whose request crosses the close of an idle connection.
  const isReset = (socket: Socket) => {
    const used = lastUse.get(socket)
    lastUse.set(socket, performance.now())
    return used !== undefined && used < idleBefore - 900
  }
  const get = (response: ServerResponse) => {
    counts.gets += 1
    waiting.filter(({ gets }) => gets === counts.gets).forEach(({ wake }) => wake())
    if (fault(every(faults.hang, counts.gets))) return
    if (fault(every(faults.badGateway, counts.gets))) response.statusCode = 502
    const cut = fault(every(faults.cutOff, counts.gets))
    response.setHeader('content-type', 'application/json')
    if (cut) response.writeHead(200, { 'content-length': 1000 }).write('{', () => response.destroy())
    else setTimeout(() => response.end('{"instance":"app-1"}'), faults.delay ?? 0)
  }
  const server = createServer((request, response) => {
    if (isReset(request.socket)) {
      counts.idleResets += 1
      request.socket.resetAndDestroy()
    } else if (request.method === 'POST')
      void echo(request, response, fault(every(faults.wrongEcho, (counts.posts += 1))))
    else get(response)
  })
  server.on('connection', (socket: Socket) => {
    counts.connections += 1
    if (fault(every(faults.dropConnection, counts.connections))) socket.resetAndDestroy()
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, client => {
      client.on('message', (data: Buffer) => {
        counts.messages += 1
        const { every: n, code } = faults.closeSocket ?? { every: 0, code: 0 }
        if (!fault(n > 0 && counts.messages % n === 0)) client.send(data.toString())
        else if (code === 1006) client.terminate()
        else client.close(code)
        if (every(faults.endSocket, counts.messages)) client.close(1001)
      })
    }),
  )
  server.keepAliveTimeout = 60_000
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port }: Partial<AddressInfo> = Object(server.address())
  return {
    url: `http://127.0.0.1:${port}`,
    counts,
    /** from now on a request on a connection that is idle at this moment, for at least 0.9 s, meets a reset */
    resetIdle: () => {
      idleBefore = performance.now()
    },
    /** until so many GETs have come */
    whenAsked: (gets: number) => new Promise<void>(wake => waiting.push({ gets, wake })),
    close: () => {
      sockets.clients.forEach(client => client.terminate())
      server.closeAllConnections()
      server.close()
    },
  }
}
