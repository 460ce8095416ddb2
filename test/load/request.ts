// One HTTP request, sent once. Whatever happens to it, it ends with exactly one answer.
import { type Agent, type IncomingHttpHeaders, request as startPlain } from 'node:http'
import { request as startTls } from 'node:https'
import type { Writable } from 'node:stream'

export interface Sending {
  url: URL
  agent: Agent | false
  body?: Buffer
  /** ms that the body takes to be sent; without it all is sent at once */
  drip?: number
  timeout: number
  /** the name of the site, when it is not that of the address */
  host?: string
}

export interface Answer {
  ok: boolean
  /** the status, or what went wrong: `200`, `502`, `ECONNRESET`, `timeout`, `wrong echo` */
  outcome: string
  /** which instance of the app answered, when it said so */
  instance: string
  /** the connection had been used before */
  reused: boolean
}

const instanceIn = (body: Buffer) => {
  try {
    const { instance }: { instance?: unknown } = JSON.parse(body.toString())
    return typeof instance === 'string' ? instance : ''
  } catch {
    return ''
  }
}

/** Whether an answer is right: a 2xx, with what was sent where something was. */
export function judge(status: number, headers: IncomingHttpHeaders, body: Buffer, sent: Buffer | undefined) {
  const header = headers['x-instance']
  const json = header === undefined && headers['content-type']?.includes('json') === true
  const instance = json ? instanceIn(body) : String(header ?? '')
  if (status < 200 || status > 299) return { ok: false, outcome: String(status), instance }
  const wrong = sent !== undefined && !body.equals(sent)
  return { ok: !wrong, outcome: wrong ? 'wrong echo' : String(status), instance }
}

export function codeOf({ code, message }: NodeJS.ErrnoException) {
  return code ?? message
}

const PIECES = 20

/** Ends a stream with a body, at once or in pieces over so many ms. */
export function endWith(stream: Writable, body: Buffer | undefined, drip = 0) {
  if (body === undefined || drip === 0) return void stream.end(body)
  const size = Math.ceil(body.length / PIECES)
  let at = 0
  const timer = setInterval(() => {
    const piece = body.subarray(at, (at += size))
    if (stream.destroyed) clearInterval(timer)
    else if (at < body.length) stream.write(piece)
    else {
      clearInterval(timer)
      stream.end(piece)
    }
  }, drip / PIECES)
}

/** Sends it and calls back once. A request without an answer after `timeout` ms has failed. */
export function send({ url, agent, body, drip, timeout, host }: Sending, done: (answer: Answer) => void) {
  const headers = {
    ...(host === undefined ? {} : { host }),
    ...(body === undefined ? {} : { 'content-type': 'application/octet-stream', 'content-length': body.length }),
  }
  const method = body === undefined ? 'GET' : 'POST'
  const tls = { rejectUnauthorized: false, ...(host === undefined ? {} : { servername: host }) }
  const request =
    url.protocol === 'https:'
      ? startTls(url, { agent, method, headers, ...tls })
      : startPlain(url, { agent, method, headers })
  let settled = false
  const settle = (answer: Omit<Answer, 'reused'>) => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    done({ ...answer, reused: request.reusedSocket })
  }
  const fail = (outcome: string) => settle({ ok: false, outcome, instance: '' })
  const timer = setTimeout(() => {
    fail('timeout')
    request.destroy()
  }, timeout)
  request.on('error', error => fail(codeOf(error)))
  let answering = false
  request.on('close', () => answering || fail('closed'))
  request.on('response', response => {
    answering = true
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('error', () => fail('cut off'))
    response.on('end', () => settle(judge(response.statusCode ?? 0, response.headers, Buffer.concat(chunks), body)))
  })
  endWith(request, body, drip)
}
