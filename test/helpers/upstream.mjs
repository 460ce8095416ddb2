// What stands behind nginx in its test: an app on 3000 and 4000 that tells what reached it, and on 9000 a store that
// gives away a listing whenever it is asked for more than one object by its name. JavaScript: Debian's node strips no
// types.
import { createHash } from 'node:crypto'
import { createServer, get } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

const name = process.env.NAME ?? 'nobody'
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11' // RFC 6455, 1.3

const bodyOf = async request => Buffer.concat(await request.toArray())

const app = async (request, response) => {
  const { url = '/', method, headers } = request
  const { searchParams } = new URL(url, 'http://app')
  const body = await bodyOf(request)
  if (url === '/echo') return response.end(body)
  // An app that asks phoenix as it renders a page, with the visitor's headers spread into its own request or with none.
  const through = searchParams.get('through')
  if (through) {
    get({ host: through, port: 8080, path: '/api/v2', headers: searchParams.has('spread') ? headers : {} }, answer =>
      answer.pipe(response),
    )
    return
  }
  await wait(Number(searchParams.get('ms')))
  const has = [null, name].includes(searchParams.get('only'))
  const status = Number(searchParams.get('status') ?? (has ? 200 : 404))
  const own = searchParams.has('policies')
    ? { 'content-security-policy': "default-src 'own'", 'referrer-policy': 'no-referrer', 'x-frame-options': 'DENY' }
    : {}
  if (searchParams.has('upgrade')) response.setHeader('upgrade', 'h2,h2c')
  const kept = searchParams.has('cache') ? { 'cache-control': searchParams.get('cache') } : {}
  response.writeHead(status, { 'content-type': 'application/json', 'x-powered-by': 'a secret', ...own, ...kept })
  response.end(JSON.stringify({ name, method, url, body: body.length, headers, filler: '.'.repeat(1200) }))
}

const answer = (response, status, body, type = 'application/xml') => {
  const secrets = {
    'cache-control': 'public, max-age=9',
    'set-cookie': 'a=secret',
    'x-amz-request-id': 'a secret',
    'x-minio-deployment-id': 'a secret',
  }
  const policies = {
    'content-security-policy': 'block-all-mixed-content',
    'referrer-policy': 'unsafe-url',
    'x-frame-options': 'ALLOWALL',
  }
  response.writeHead(status, { 'content-type': type, ...secrets, ...policies })
  response.end(body)
}

const store = ({ url = '/', headers }, response) => {
  const key = /^\/test-bucket\/(?<key>[^?]*[^?/])$/.exec(url)?.groups?.key
  if (key === undefined) answer(response, 200, '<ListBucketResult>secret listing</ListBucketResult>')
  else if (key.includes('missing')) answer(response, 404, '<Error>secret NoSuchKey</Error>')
  else if (key.includes('forbidden')) answer(response, 403, '<Error>secret AccessDenied</Error>')
  else if (/answer-\d+/.test(key)) answer(response, Number(/answer-(\d+)/.exec(key)[1]), '<Error>secret</Error>')
  else if (key.startsWith('typed/')) answer(response, 200, '<script></script>', key.slice(6).replace('_', '/'))
  else if (headers.range === 'bytes=99-') answer(response, 416, '<Error>secret InvalidRange</Error>')
  else if (key.endsWith('.html')) answer(response, 200, '<script></script>', 'text/html')
  else
    answer(response, headers.range === undefined ? 200 : 206, JSON.stringify({ name, url, headers }), 'application/pdf')
}

const apps = [3000, 4000].map(port => createServer((request, response) => void app(request, response)).listen(port))
createServer(store).listen(9000)

for (const server of apps) {
  server.on('upgrade', ({ headers }, socket) => {
    const accept = createHash('sha1').update(`${headers['sec-websocket-key']}${MAGIC}`).digest('base64')
    const upgrade = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${upgrade.join('\r\n')}\r\n\r\n`)
    // An unmasked text frame of five letters, so that the client hears something from the app.
    socket.write(Buffer.from([0x81, 5, ...Buffer.from('hello')]))
    socket.on('error', () => socket.destroy())
  })
}
