// The site closed for visitors: a file says so, and nginx takes it up into memory (nginx/maintenance.js). Nothing is
// reloaded, and requests that are on their way end.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { root } from '../system/checkout.ts'
import { Failure } from '../system/errors.ts'
import { readIfThere, replaceFile } from '../system/files.ts'
import { takeLock } from '../system/lock.ts'
import { say } from '../system/progress.ts'
import { readJson, time } from '../system/schema.ts'
import { shielded } from '../system/signals.ts'
import { frenchTime } from '../system/site_time.ts'
import { askNginx, type Nginx } from './container.ts'
import { LIVE } from './live.ts'
import { takeUpChanges } from './take_up.ts'

const MAINTENANCE = v.object({
  since: time,
  who: v.string(),
  /** where everybody is sent, for good; null: visitors get a page */
  url: v.nullable(v.string()),
  /** what the page says */
  message: v.nullable(v.string()),
  /** when the site is to be back; nothing happens then by itself */
  until: v.nullable(time),
  /** who gets the site all the same */
  allow: v.array(v.object({ text: v.string(), bytes: v.number(), bits: v.string() })),
})

/** How the site is closed. */
export type Maintenance = v.InferOutput<typeof MAINTENANCE>

const FILE = join(LIVE, 'maintenance.json')
const PAGE = join(LIVE, 'maintenance.html')

/**
 * How the site is closed; undefined when it is open, and when the file is damaged, which is told: so takes it nginx at
 * a start.
 */
export function readMaintenance(): Maintenance | undefined {
  const text = readIfThere(FILE)
  if (text === undefined) return undefined
  const { value, damage } = readJson(MAINTENANCE, text)
  if (damage !== undefined)
    say.warn(`${FILE} is damaged (${damage}), and taken for none: say maintenance.ts on again, or maintenance.ts off`)
  return value
}

/** Whether the site was to be back by now. */
export function hasOverrun({ until }: Maintenance, now = new Date()) {
  return until !== null && Date.parse(until) <= now.getTime()
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string) => text.replaceAll(/[&<>"']/g, it => ESCAPES[it]!)

/** The page that visitors get. */
export function maintenancePage({ message, until, since }: Maintenance) {
  const put = (page: string, id: string, text: string) =>
    page.replace(new RegExp(`(id="${id}">)[^<]*`), (_, tag: string) => tag + escaped(text))
  let page = readFileSync(join(root, 'nginx', 'errors', 'maintenance.html'), 'utf8')
  if (message !== null) page = put(page, 'message', message)
  if (until !== null)
    page = put(page, 'until', `Le service devrait être de retour ${whenText(new Date(until), new Date(since))}.`)
  return page
}

const whenText = (until: Date, now: Date) => {
  const text = frenchTime(until, now)
  return /^\d/.test(text) ? `vers ${text}` : `le ${text}`
}

const write = (text: string | undefined, page: string | undefined) => {
  mkdirSync(LIVE, { recursive: true })
  for (const [file, content] of [
    [PAGE, page],
    [FILE, text],
  ] as const)
    if (content === undefined) rmSync(file, { force: true })
    else replaceFile(file, content)
}

const post = (nginx: Nginx) => askNginx(nginx, '/maintenance', '--request', 'POST')

const tell = async (nginx: Nginx, text: string | undefined) => {
  let outcome = await post(nginx)
  if (outcome.code !== 0) {
    // After an update nginx may still have a configuration that knows nothing of this.
    await takeUpChanges(nginx)
    outcome = await post(nginx)
  }
  if (outcome.code === 0 && outcome.stdout.trim() === (text ?? 'null').trim()) return
  throw new Failure(`nginx could not be told: ${(outcome.stdout + outcome.stderr).trim()}`, {
    hint: 'nothing has changed for visitors; docker compose logs nginx, and docker compose up -d nginx',
  })
}

/**
 * Closes the site for visitors, or opens it (undefined), from the next request on. Without nginx it is left to its next
 * start. A signal waits until that is done. Throws a Failure when nginx cannot be told, and nothing has changed then;
 * 75 when somebody else is doing it.
 */
export async function setMaintenance(nginx: Nginx | undefined, state: Maintenance | undefined) {
  const text = state && `${JSON.stringify(state)}\n`
  const lock = await takeLock('maintenance.lock', () => 'another maintenance.ts', 'never')
  try {
    await shielded(async () => {
      const before = [readIfThere(FILE), readIfThere(PAGE)] as const
      write(text, state && !state.url ? maintenancePage(state) : undefined)
      if (!nginx) return
      try {
        await tell(nginx, text)
      } catch (error) {
        write(...before)
        // It may have heard of what is taken back.
        await post(nginx)
        throw error
      }
    })
  } finally {
    await lock.dispose()
  }
}
