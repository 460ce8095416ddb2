// Requests over HTTP/2, as browsers send them: many on one connection, which is used until the server says that it goes
// away. Nothing is sent twice.
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { type Answer, codeOf, endWith, judge, type Sending } from './request.ts'

/** A connection, opened when it is needed; another one when the server has said that it goes away. */
export function http2Connection(url: URL, host: string | undefined) {
  let session: ClientHttp2Session | undefined
  const open = () => {
    const opened = connect(url.origin, {
      rejectUnauthorized: false,
      ...(host === undefined ? {} : { servername: host }),
    })
    const leave = () => {
      if (session === opened) session = undefined
    }
    opened.on('goaway', leave).on('close', leave).on('error', leave)
    return (session = opened)
  }
  return { take: () => session ?? open(), close: () => session?.close() }
}

/** As send of request.ts, on a connection. */
export function sendOver(
  session: ClientHttp2Session,
  { url, body, drip, timeout, host }: Omit<Sending, 'agent'>,
  done: (answer: Answer) => void,
) {
  const reused = session.connecting === false
  let settled = false
  const settle = (answer: Omit<Answer, 'reused'>) => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    done({ ...answer, reused })
  }
  const fail = (outcome: string) => settle({ ok: false, outcome, instance: '' })
  const stream = session.request({
    ':method': body === undefined ? 'GET' : 'POST',
    ':path': url.pathname + url.search,
    ':authority': host ?? url.host,
    ...(body === undefined ? {} : { 'content-type': 'application/octet-stream', 'content-length': body.length }),
  })
  const timer = setTimeout(() => {
    fail('timeout')
    stream.close(constants.NGHTTP2_CANCEL)
  }, timeout)
  const chunks: Buffer[] = []
  stream.on('error', error => fail(codeOf(error)))
  stream.on('aborted', () => fail('cut off'))
  stream.on('close', () => fail('closed'))
  stream.on('response', headers => {
    const { ':status': status = 0 } = headers
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => settle(judge(status, headers, Buffer.concat(chunks), body)))
  })
  endWith(stream, body, drip)
}
