// The one websocket that stays open, as the pages of the site hold it. When it is closed it is opened again at once, as
// the script of such a page does.
import { WebSocket } from 'ws'
import type { Answer } from './request.ts'

export interface Closing {
  /** ms since the start */
  at: number
  /** of the close frame; 1006 means that there was none, as when a proxy cuts the connection */
  code: number
}

export interface SocketEvents {
  /** called when a connection is asked for; gives what is called with the answer */
  onConnect: () => (answer: Answer) => void
  onClose: (code: number) => void
}

interface Message {
  text: string
  done: (answer: Answer) => void
  timer: NodeJS.Timeout
  sent: boolean
}

const PAUSE_AFTER_REFUSAL = 250

export function openSocket(url: URL, timeout: number, { onConnect, onClose }: SocketEvents, host?: string) {
  let socket: WebSocket
  let instance = ''
  let closing = false
  let messages: Message[] = []
  const settle = (message: Message, ok: boolean, outcome: string) => {
    clearTimeout(message.timer)
    messages = messages.filter(other => other !== message)
    message.done({ ok, outcome, instance, reused: true })
  }
  const transmit = () => {
    for (const message of messages.filter(({ sent }) => !sent)) {
      message.sent = true
      socket.send(message.text)
    }
  }
  // A message that was on its way when the connection closed is lost; one that waited for the connection goes on
  // waiting.
  const lose = (outcome: string) =>
    messages.filter(({ sent }) => sent).forEach(message => settle(message, false, outcome))
  const receive = (text: string) => {
    const match = messages.find(message => message.sent && message.text === text)
    const oldest = messages.find(({ sent }) => sent)
    if (match !== undefined) settle(match, true, 'echo')
    else if (oldest !== undefined) settle(oldest, false, 'wrong echo')
  }
  const connect = () => {
    if (closing) return
    const onHandshake = onConnect()
    let opened = false
    let refusal = 'closed'
    socket = new WebSocket(url, {
      handshakeTimeout: timeout,
      perMessageDeflate: false,
      rejectUnauthorized: false,
      ...(host === undefined ? {} : { headers: { host }, servername: host }),
    })
    socket.on('upgrade', response => (instance = String(response.headers['x-instance'] ?? '')))
    socket.on('open', () => {
      opened = true
      onHandshake({ ok: true, outcome: '101', instance, reused: false })
      transmit()
    })
    socket.on('message', (data: Buffer) => receive(data.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => (refusal = error.code ?? error.message))
    socket.on('close', code => {
      lose(`closed with ${code}`)
      if (opened && !closing) onClose(code)
      if (!opened) onHandshake({ ok: false, outcome: refusal, instance: '', reused: false })
      setTimeout(connect, opened ? 0 : PAUSE_AFTER_REFUSAL)
    })
  }
  connect()
  const say = (text: string, done: (answer: Answer) => void) => {
    const timer = setTimeout(() => settle(message, false, 'timeout'), timeout)
    const message: Message = { text, done, timer, sent: false }
    messages.push(message)
    if (socket.readyState === WebSocket.OPEN) transmit()
  }
  const close = () => {
    closing = true
    socket.close(1000)
  }
  return { say, close }
}
