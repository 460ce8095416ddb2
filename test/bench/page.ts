// How long a page with 30 scripts takes in a browser that is far away, by HTTP/1.1, HTTP/2 and HTTP/3. Each way takes
// 25 ms longer in a relay, and a connection by TCP two of them more: not every kernel can delay packets (netem).
import { createSocket, type RemoteInfo } from 'node:dgram'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { docker } from '../../lib/docker/commands.ts'
import { Failure, messageOf } from '../../lib/system/errors.ts'
import { capture } from '../../lib/system/run.ts'
import { say } from '../../lib/system/progress.ts'
import { figuresOf, median, type Outcome } from './figures.ts'
import type { Site } from './site.ts'
import { HOST, makeTls, TLS_PORT } from './tls.ts'

const ASSETS = 30
/** bytes each */
const SIZE = 20_000
const ROUNDS = 11
/** milliseconds, one way */
const DELAY = 25
const FOLDER = '/mon-espace/_nuxt/'

/** Hands on what comes, later; what came first goes first. */
const later = (from: Socket, to: Socket) => {
  from.on('data', chunk => void setTimeout(() => to.write(chunk), DELAY))
  from.on('end', () => void setTimeout(() => to.end(), DELAY))
  from.on('error', () => to.destroy())
}

/** A line to the site that is so much longer; gives its port. */
const startRelay = async (address: string) => {
  const relay = createServer(near => {
    // The visitor's own connection is open at once: what it takes from afar is added to the first bytes.
    near.pause()
    setTimeout(() => {
      const far = connect(TLS_PORT, address)
      for (const socket of [near, far]) socket.setNoDelay(true)
      later(near, far)
      later(far, near)
      near.resume()
    }, 2 * DELAY)
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  const own = relay.address()
  return { port: typeof own === 'object' && own ? own.port : 0, stop: () => relay.close() }
}

/** The same for the packets of HTTP/3, from the same port. */
const startPacketRelay = async (port: number, address: string) => {
  const near = createSocket('udp4')
  const ways = new Map<number, ReturnType<typeof createSocket>>()
  const wayFor = (from: RemoteInfo) => {
    const known = ways.get(from.port)
    if (known) return known
    const far = createSocket('udp4')
    far.on('message', packet => void setTimeout(() => near.send(packet, from.port, from.address), DELAY))
    ways.set(from.port, far)
    return far
  }
  near.on('message', (packet, from) => {
    const far = wayFor(from)
    setTimeout(() => far.send(packet, TLS_PORT, address), DELAY)
  })
  await new Promise<void>(resolve => near.bind(port, '127.0.0.1', resolve))
  return { stop: () => [near, ...ways.values()].forEach(socket => socket.close()) }
}

/** It runs in the browser: by which protocol the page came. */
const PROTOCOL = "performance.getEntriesByType('navigation')[0].nextHopProtocol"

/** It runs in the browser: milliseconds from the beginning of the page until all of its scripts have run. */
const LOAD_ALL = `Promise.all(Array.from({ length: ${ASSETS} }, (_, number) => new Promise((resolve, reject) => {
  const src = '${FOLDER}part-' + number + '.js'
  document.head.append(Object.assign(document.createElement('script'), { src, onload: resolve, onerror: reject }))
}))).then(() => performance.now())`

const loadPage = async (page: Page, port: number, protocol: string) => {
  await page.goto(`https://${HOST}:${port}/version`)
  const used = await page.evaluate<string>(PROTOCOL)
  if (used !== protocol) throw new Failure(`the page came by ${used}, not by ${protocol}`)
  return page.evaluate<number>(LOAD_ALL)
}

const measure = async (port: number, protocol: string, words: string[]) => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', `--host-resolver-rules=MAP ${HOST} 127.0.0.1`, ...words],
  })
  try {
    const times: number[] = []
    while (times.length < ROUNDS) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      try {
        times.push(await loadPage(await context.newPage(), port, protocol))
      } catch (error) {
        // Somebody else's container was started meanwhile: such a visit counts for nothing.
        if (!messageOf(error).includes('ERR_NETWORK_CHANGED')) throw error
      } finally {
        await context.close()
      }
    }
    return times
  } finally {
    await browser.close()
  }
}

export async function page(site: Site): Promise<Outcome> {
  const figures = figuresOf('page')
  // On 127.0.0.1 nginx speaks no HTTP/3: there it is what stands in front of it that browsers reach.
  const address = await capture(
    docker('network', 'inspect', '--format', '{{(index .IPAM.Config 0).Gateway}}', 'bridge'),
  )
  const { spki } = await makeTls(site, { HTTP3: 'on', NGINX_BIND: address })
  const served = join(site.folder, 'nginx', 'assets', FOLDER)
  mkdirSync(served, { recursive: true })
  for (let number = 0; number < ASSETS; number += 1)
    writeFileSync(join(served, `part-${number}.js`), `void "${number}${'x'.repeat(SIZE)}"`)
  const relay = await startRelay(address)
  const packets = await startPacketRelay(relay.port, address)
  say.step(`${ROUNDS} visits each, by HTTP/1.1, HTTP/2 and HTTP/3`)
  // By HTTP/3 no other certificate is taken that is not of an authority.
  const quic = [`--origin-to-force-quic-on=${HOST}:${relay.port}`, `--ignore-certificate-errors-spki-list=${spki}`]
  try {
    const times = {
      h1: await measure(relay.port, 'http/1.1', ['--disable-http2']),
      h2: await measure(relay.port, 'h2', []),
      h3: await measure(relay.port, 'h3', quic),
    }
    const [h1, h2, h3] = [median(times.h1), median(times.h2), median(times.h3)]
    return {
      figures: [
        figures.plain(
          `${ASSETS} scripts over a line of ${2 * DELAY} ms, HTTP/1.1, HTTP/2, HTTP/3 (median)`,
          [h1, h2, h3].map(time => `${time.toFixed(0)} ms`).join('; '),
        ),
        figures.most('  HTTP/2 against HTTP/1.1', h2 / h1, 1, '×'),
        figures.most('  HTTP/3 against HTTP/1.1', h3 / h1, 1, '×'),
      ],
      details: times,
    }
  } finally {
    relay.stop()
    packets.stop()
    site.set({ NGINX_BIND: '127.0.0.1', HTTP3: '' })
  }
}
