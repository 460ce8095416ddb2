// websocket_client.ts URL MS [TEXT]: opens a websocket, says a text if there is one, waits for its first message, then
// for MS of silence, and prints what it saw.
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { WebSocket } from 'ws'

const [url = '', ms = '0', text] = process.argv.slice(2)
const socket = new WebSocket(url)
if (text !== undefined) socket.once('open', () => socket.send(text))
const [message] = (await once(socket, 'message')) as [Buffer]
await wait(Number(ms))
process.stdout.write(`${message.toString()} ${socket.readyState === WebSocket.OPEN ? 'open' : 'closed'}\n`)
socket.terminate()
