// A visitor with a real browser (Debian's Chromium). Prints what was seen as JSON; ends with 1, and says why, when a
// page does not become ready.
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type Browser, type BrowserContext, chromium, type Page, type Request } from 'playwright-core'

const HELP = `Usage: tsx test/helpers/browser.ts look URL [--link TEXT]
       tsx test/helpers/browser.ts watch URL --link TEXT

  look    the page without scripts, then with them, then what the link leads to
  watch   loads the page and follows the link, again and again until standard input ends; a line on stderr for each new
          release that it shows. A second page is opened at first, and its link is followed at the end.

What went wrong is listed in "failed" (requests without an answer, or with a status of 400 and more) and "errors"
(console, scripts). In "split" is what went wrong in a page that began with one instance and got a 404 for one of its
files from another: as a visitor would, watch loads it again.
`

const EXECUTABLE = '/usr/bin/chromium'
const PATIENCE = 15_000

// Nuxt 2 and Nuxt 4: the scripts have taken over what the server rendered, so that a click is theirs.
const TAKEN_OVER = `window.useNuxtApp ? window.useNuxtApp().isHydrating === false : window.$nuxt?._isMounted === true`

type Found = Record<'failed' | 'errors' | 'split', string[]>

const pathOf = (page: Page) => new URL(page.url()).pathname

const textOf = (page: Page) => page.locator('body').innerText()

/** Collects what goes wrong in a page, counts its documents, and knows when no request is on its way. */
const listen = (page: Page) => {
  const [open, found]: [Set<Request>, Found] = [new Set(), { failed: [], errors: [], split: [] }]
  let [documents, instance, isSplit, whenQuiet] = [0, '', false, () => {}]
  const end = (request: Request) => {
    open.delete(request)
    if (open.size === 0) whenQuiet()
  }
  page.on('request', request => {
    open.add(request)
    if (!request.isNavigationRequest()) return
    documents += 1
    isSplit = false
  })
  page.on('requestfinished', end)
  page.on('requestfailed', request => {
    const reason = request.failure()?.errorText ?? 'failed'
    // The browser's own doing: it leaves the page, or has no use for what was answered (which is listed by its status).
    if (reason !== 'net::ERR_ABORTED') found.failed.push(`${request.method()} ${request.url()}: ${reason}`)
    end(request)
  })
  page.on('response', response => {
    const [request, answeredBy] = [response.request(), response.headers()['x-instance'] ?? '']
    if (request.isNavigationRequest()) instance = answeredBy
    const line = `${request.method()} ${response.url()}: ${response.status()}`
    if (response.status() === 404 && request.url().includes('/_nuxt/') && answeredBy !== instance) {
      isSplit = true
      found.split.push(line)
    } else if (response.status() >= 400) found.failed.push(line)
  })
  const complain = (line: string) => void found[isSplit ? 'split' : 'errors'].push(line)
  page.on('console', message => message.type() === 'error' && complain(`console: ${message.text()}`))
  page.on('pageerror', error => complain(`script: ${error.message}`))
  const quiet = async () => {
    if (open.size === 0) return
    const late = () => new Error(`no end of ${[...open].map(request => request.url()).join(', ')}`)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(late()), PATIENCE)
      whenQuiet = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
  return { found, quiet, documents: () => documents, isSplit: () => isSplit }
}

type Ears = ReturnType<typeof listen>

const withoutScripts = async (browser: Browser, url: string) => {
  const context = await browser.newContext({ javaScriptEnabled: false })
  const page = await context.newPage()
  await page.goto(url)
  const text = await textOf(page)
  await context.close()
  return text
}

const open = async (page: Page, ears: Ears, url: string) => {
  const response = await page.goto(url)
  await ears.quiet()
  const ours = (await page.locator('#__nuxt').count()) > 0
  if (ours && !ears.isSplit()) await page.waitForFunction(TAKEN_OVER)
  await ears.quiet()
  return response?.status() ?? 0
}

const follow = async (page: Page, ears: Ears, link: string) => {
  const from = pathOf(page)
  await page.getByRole('link', { name: link, exact: true }).click()
  await page.waitForURL(url => url.pathname !== from)
  await page.locator('#client').waitFor()
  await ears.quiet()
}

/** A page of its own, with what is heard of it. */
const visit = async (context: BrowserContext) => {
  const page = await context.newPage()
  return { page, ears: listen(page) }
}

type Visit = Awaited<ReturnType<typeof visit>>

const look = async (browser: Browser, { page, ears }: Visit, url: string, link: string | undefined) => {
  const server = await withoutScripts(browser, url)
  const status = await open(page, ears, url)
  const seen = { status, server, title: await page.title(), path: pathOf(page), text: await textOf(page) }
  const loaded = ears.documents()
  if (link !== undefined) await follow(page, ears, link)
  const after = { path: pathOf(page), text: await textOf(page), reloads: ears.documents() - loaded }
  return { ...seen, after, ...ears.found }
}

/**
 * What the first page says of its release, after it and the one behind its link were seen; and whether it was split.
 */
const round = async ({ page, ears }: Visit, url: string, link: string) => {
  const before = ears.found.split.length
  const isSplit = () => ears.found.split.length > before
  await open(page, ears, url)
  const release = await page.locator('#release').innerText()
  // Half of one release and half of another: its link may do nothing, or load the page again.
  if (!isSplit()) await follow(page, ears, link).catch(error => isSplit() || Promise.reject(error))
  return { release, split: isSplit() }
}

const watch = async (visitor: Visit, kept: Visit, url: string, link: string) => {
  await open(kept.page, kept.ears, url)
  const loaded = kept.ears.documents()
  const releases: string[] = []
  let [rounds, splits, last] = [0, 0, false]
  createInterface({ input: process.stdin }).on('close', () => (last = true))
  for (let ended = false; !ended; rounds += 1) {
    ended = last
    const { release, split } = await round(visitor, url, link)
    if (split) splits += 1
    if (release === releases.at(-1)) continue
    process.stderr.write(`${release}\n`)
    releases.push(release)
  }
  await follow(kept.page, kept.ears, link)
  const reloads = kept.ears.documents() - loaded
  return {
    rounds,
    splits,
    releases,
    page: visitor.ears.found,
    kept: { path: pathOf(kept.page), reloads, ...kept.ears.found },
  }
}

/** What became of it, or why it went no further, with all that went wrong before. */
const explained = async <T>(work: Promise<T>, visits: Visit[]) => {
  try {
    return await work
  } catch (error) {
    const lines = visits.flatMap(({ ears }) => Object.values(ears.found).flat())
    throw new Error([error instanceof Error ? error.message : String(error), ...lines].join('\n'), { cause: error })
  }
}

const run = async (browser: Browser, words: string[], link: string | undefined) => {
  const [what, url] = words
  if (url === undefined || (what !== 'look' && (what !== 'watch' || link === undefined))) throw new TypeError(HELP)
  const context = await browser.newContext()
  context.setDefaultTimeout(PATIENCE)
  const [visitor, kept] = [await visit(context), await visit(context)]
  const work = what === 'look' ? look(browser, visitor, url, link) : watch(visitor, kept, url, link ?? '')
  return explained<unknown>(work, [visitor, kept])
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { link: { type: 'string' } } })
const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : []
const browser = await chromium.launch({ executablePath: EXECUTABLE, args: asRoot })
try {
  process.stdout.write(`${JSON.stringify(await run(browser, positionals, values.link), undefined, 2)}\n`)
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof TypeError ? 64 : 1
} finally {
  await browser.close()
}
