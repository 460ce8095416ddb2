// How long a page with 30 scripts takes in a browser that is far away, by HTTP/1.1 and by HTTP/2. Each way takes 25 ms longer in a relay, and a
// connection two of them more: not every kernel can delay packets (netem).
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
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
const startRelay = async () => {
  const relay = createServer(near => {
    // The visitor's own connection is open at once: what it takes from afar is added to the first bytes.
    near.pause()
    setTimeout(() => {
      const far = connect(TLS_PORT, '127.0.0.1')
      for (const socket of [near, far]) socket.setNoDelay(true)
      later(near, far)
      later(far, near)
      near.resume()
    }, 2 * DELAY)
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  const address = relay.address()
  return { port: typeof address === 'object' && address ? address.port : 0, stop: () => relay.close() }
}

/** It runs in the browser: milliseconds from the beginning of the page until all of its scripts have run. */
const LOAD_ALL = `Promise.all(Array.from({ length: ${ASSETS} }, (_, number) => new Promise((resolve, reject) => {
  const src = '${FOLDER}part-' + number + '.js'
  document.head.append(Object.assign(document.createElement('script'), { src, onload: resolve, onerror: reject }))
}))).then(() => performance.now())`

const measure = async (port: number, words: string[]) => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', `--host-resolver-rules=MAP ${HOST} 127.0.0.1`, ...words],
  })
  try {
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      const page = await context.newPage()
      await page.goto(`https://${HOST}:${port}/version`)
      times.push(await page.evaluate<number>(LOAD_ALL))
      await context.close()
    }
    return times
  } finally {
    await browser.close()
  }
}

export async function page(site: Site): Promise<Outcome> {
  const figures = figuresOf('page')
  await makeTls(site)
  const served = join(site.folder, 'nginx', 'assets', FOLDER)
  mkdirSync(served, { recursive: true })
  for (let number = 0; number < ASSETS; number += 1)
    writeFileSync(join(served, `part-${number}.js`), `void "${number}${'x'.repeat(SIZE)}"`)
  const relay = await startRelay()
  say.step(`${ROUNDS} visits each, by HTTP/1.1 and HTTP/2`)
  try {
    const times = { h1: await measure(relay.port, ['--disable-http2']), h2: await measure(relay.port, []) }
    const [h1, h2] = [median(times.h1), median(times.h2)]
    return {
      figures: [
        figures.plain(
          `${ASSETS} scripts over a line of ${2 * DELAY} ms, HTTP/1.1 and HTTP/2 (median)`,
          `${h1.toFixed(0)} ms; ${h2.toFixed(0)} ms`,
        ),
        figures.most('  HTTP/2 against HTTP/1.1', h2 / h1, 1, '×'),
      ],
      details: times,
    }
  } finally {
    relay.stop()
  }
}
