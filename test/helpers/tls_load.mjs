// tls_load.mjs PORT NAME CA: asks a site all the time, until SIGTERM: by new connections, by one that is kept (HTTP/1.1), and by HTTP/2. Each certificate is judged as a
// browser does, by CA. Then prints how many requests there were, how many certificates were shown, and how many failed, with the first reasons.
import { readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { Agent, request } from 'node:https'
import { connect as connectTls } from 'node:tls'

const [port, servername, file] = process.argv.slice(2)
const tls = { host: '127.0.0.1', port, servername, ca: readFileSync(file) }
const shown = new Set()
const reasons = []
let count = 0
const over = new AbortController()

const byHttp1 = agent =>
  new Promise((resolve, reject) => {
    const asked = request({ ...tls, agent, path: '/healthcheck', headers: { host: servername } }, answer => {
      shown.add(answer.socket.getPeerCertificate().serialNumber)
      answer.resume().on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(answer.statusCode))))
    })
    asked.setTimeout(10_000, () => asked.destroy(new Error('no answer'))).on('error', reject)
    asked.end()
  })

// A server ends a connection after some requests, and says so before; the next one is asked by another.
let session
const byHttp2 = () =>
  new Promise((resolve, reject) => {
    if (!session || session.closed || session.destroyed) {
      const own = connect(`https://${servername}`, {
        ...tls,
        createConnection: () => connectTls({ ...tls, ALPNProtocols: ['h2'] }),
      })
      own.on('goaway', () => own.close()).on('error', () => {})
      own.on('connect', () => shown.add(own.socket.getPeerCertificate().serialNumber))
      session = own
    }
    const asked = session.request({ ':path': '/healthcheck', ':authority': servername })
    asked.on('response', headers => (headers[':status'] === 200 ? resolve() : reject(new Error(headers[':status']))))
    asked.on('error', reject)
    asked.resume()
  })

const kept = new Agent({ keepAlive: true, maxSockets: 1 })
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))
const forEver = async ask => {
  while (!over.signal.aborted) {
    try {
      await ask()
    } catch (error) {
      reasons.push(`${new Date().toISOString()} ${error.message}`)
    }
    count += 1
    await pause(50)
  }
}

process.on('SIGTERM', () => over.abort())
const tell = () => console.log(`${count} requests, ${shown.size} certificates, ${reasons.length} failed`)
console.log('began')
const telling = setInterval(tell, 5000)
await Promise.all([
  ...Array.from({ length: 3 }, () => forEver(() => byHttp1(new Agent({ maxCachedSessions: 0 })))),
  forEver(() => byHttp1(kept)),
  forEver(byHttp2),
])
clearInterval(telling)
console.log(reasons.slice(0, 5).join('\n'))
tell()
process.exit(0)
