// s3_proxy.mjs TARGET METHOD PATTERN hold|cut|stumble|lose|halve|forge: hands requests on to an S3 server, until one of
// that method whose address matches the pattern. Then it prints "reached", and holds that request for ever, cuts it and
// all that follow, cuts it alone (an answer in its middle), or says that it was done and loses it. Each that matches it
// gives half of the answer to, or answers itself with "forged".
import { createServer, request } from 'node:http'

const [target, method, pattern, manner] = process.argv.slice(2)
const { hostname, port } = new URL(target)
const wanted = new RegExp(pattern)
let reached = false

const server = createServer((incoming, outgoing) => {
  const matches = incoming.method === method && wanted.test(incoming.url)
  const isIt = matches && !reached
  if (isIt) {
    reached = true
    console.log('reached')
    if (manner === 'hold') return
  }
  if (reached && manner === 'cut') return incoming.destroy()
  if (isIt && manner === 'stumble' && method === 'PUT') return incoming.destroy()
  if (isIt && manner === 'lose') {
    incoming.resume().on('end', () => outgoing.writeHead(200, { etag: '"lost"' }).end())
    return
  }
  if (matches && manner === 'forge') {
    outgoing.writeHead(200, { 'content-length': 6 }).end('forged')
    return
  }
  // The name of the host is part of what is signed: it goes on as it came.
  const onward = request(
    { hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers },
    answer => {
      outgoing.writeHead(answer.statusCode, answer.headers)
      if ((matches && manner === 'halve') || (isIt && manner === 'stumble'))
        answer.once('data', chunk => outgoing.write(chunk.subarray(0, chunk.length / 2), () => outgoing.destroy()))
      else answer.pipe(outgoing)
    },
  )
  onward.on('error', () => outgoing.destroy())
  incoming.on('error', () => onward.destroy())
  incoming.pipe(onward)
})
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`))
