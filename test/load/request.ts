// One HTTP request, sent once. Whatever happens to it, it ends with exactly one answer.
import { type Agent, type IncomingMessage, request as start } from 'node:http'

export interface Sending {
  url: URL
  agent: Agent | false
  body?: Buffer
  timeout: number
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

const judge = (response: IncomingMessage, body: Buffer, sent: Buffer | undefined) => {
  const header = response.headers['x-instance']
  const json = header === undefined && response.headers['content-type']?.includes('json') === true
  const instance = json ? instanceIn(body) : String(header ?? '')
  const status = response.statusCode ?? 0
  if (status < 200 || status > 299) return { ok: false, outcome: String(status), instance }
  const wrong = sent !== undefined && !body.equals(sent)
  return { ok: !wrong, outcome: wrong ? 'wrong echo' : String(status), instance }
}

const codeOf = ({ code, message }: NodeJS.ErrnoException) => code ?? message

/** Sends it and calls back once. A request without an answer after `timeout` ms has failed. */
export function send({ url, agent, body, timeout }: Sending, done: (answer: Answer) => void) {
  const headers =
    body === undefined ? {} : { 'content-type': 'application/octet-stream', 'content-length': body.length }
  const request = start(url, { agent, method: body === undefined ? 'GET' : 'POST', headers })
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
    response.on('end', () => settle(judge(response, Buffer.concat(chunks), body)))
  })
  request.end(body)
}
