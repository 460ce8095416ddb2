// page.ts FILE: opens a page of the disk in Chromium; prints as JSON what it shows and what went wrong.
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
const page = await browser.newPage()
const errors: string[] = []
const requests: string[] = []
page.on('console', message => message.type() === 'error' && errors.push(message.text()))
page.on('request', request => requests.push(request.url()))
await page.goto(pathToFileURL(process.argv[2] ?? '').href)
const sizesOf = (selector: string) =>
  page.locator(selector).evaluateAll(all => all.filter(it => it.getBoundingClientRect().height > 0).length)
const seen = {
  headings: await page.locator('h2').allInnerTexts(),
  bars: await sizesOf('svg rect'),
  dots: await sizesOf('svg circle'),
  phases: await page.locator('svg .name').allTextContents(),
  // What is drawn outside of its picture nobody sees.
  outside: await page.locator('svg').evaluateAll(
    all =>
      all.flatMap(svg => {
        const frame = svg.getBoundingClientRect()
        return [...svg.querySelectorAll('rect, circle, text')].filter(it => {
          const { left, right, top, bottom } = it.getBoundingClientRect()
          return left < frame.left - 1 || right > frame.right + 1 || top < frame.top - 1 || bottom > frame.bottom + 1
        })
      }).length,
  ),
  errors,
  requests: requests.length,
}
await browser.close()
process.stdout.write(`${JSON.stringify(seen)}\n`)
