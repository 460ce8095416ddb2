// Telling others what happened: a chat by its webhook, and a dead-man's switch by a ping.
import type { Settings } from './settings.ts'
import { messageOf } from './errors.ts'
import { say } from './progress.ts'

const PATIENCE = 10_000

// The addresses are secrets: whoever knows one can post. A message of fetch's may hold it, so only its cause is shown.
const send = async (what: string, url: string, body?: object) => {
  const request =
    body === undefined
      ? {}
      : {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
          // Followed, it would become a GET without the message.
          redirect: 'manual' as const,
        }
  try {
    const { ok, status } = await fetch(url, { ...request, signal: AbortSignal.timeout(PATIENCE) })
    const leads = status >= 300 && status < 400 ? ', which leads elsewhere: put the final address into .env' : ''
    if (!ok) say.warn(`${what} answered ${status}${leads}`)
    return ok
  } catch (error) {
    say.warn(
      `${what} could not be reached: ${messageOf(error instanceof Error && error.cause ? error.cause : 'no answer')}`,
    )
    return false
  }
}

const IS_SECRET = /SECRET|PASS|PWD|TOKEN|PRIVATE|DSN|_KEY$|^(NOTICE|PING)_URL$/
/** characters: a shorter value is a word that any sentence may have */
const LEAST = 8
const MOST = 1500

/** A text without the secrets of .env. */
export function withoutSecrets({ texts }: Pick<Settings, 'texts'>, text: string) {
  const secrets = [...texts].flatMap(([name, value]) => (IS_SECRET.test(name) && value.length >= LEAST ? value : []))
  // One may begin with another.
  return secrets.toSorted((a, b) => b.length - a.length).reduce((rest, secret) => rest.replaceAll(secret, '…'), text)
}

/**
 * What others may hear of a text: its first line (those below it are of the programs that failed, and may quote rows),
 * without the query or the login of an address, the secrets of .env, and what a chat obeys (mentions, links).
 */
export function noticeText(settings: Pick<Settings, 'WHOST' | 'texts'>, good: boolean, text: string) {
  const line = withoutSecrets(settings, text.split('\n')[0]!)
    .slice(0, 2 * MOST)
    .replaceAll(/\/\/\S*@/g, '//')
    .replaceAll(/(\/[^\s?]*)\?[^\s,;)]*/g, '$1?…')
    .replaceAll(/\p{C}/gu, ' ')
    .replaceAll('<', '‹')
    .replaceAll('>', '›')
    .replaceAll(/(?<![A-Za-z0-9])@(?=\w)/g, '@\u200B')
    .replaceAll('](', ']\u200B(')
  return `${good ? '✓' : '✗'} ${settings.WHOST}: ${line.length > MOST ? `${line.slice(0, MOST)}…` : line}`
}

/**
 * Tells people what happened, if .env names where (NOTICE_URL). Gives whether it was delivered; never fails, since what
 * was done stays done.
 */
export async function tellPeople(settings: Settings, good: boolean, text: string) {
  if (settings.NOTICE_URL === undefined) return false
  return send('the webhook (NOTICE_URL)', settings.NOTICE_URL, { text: noticeText(settings, good, text) })
}

/** Tells how a backup or a drill went: people, and the dead-man's switch that waits for one each day. Never fails. */
export async function notify(settings: Settings, good: boolean, text: string) {
  const { PING_URL: ping } = settings
  await Promise.all([
    tellPeople(settings, good, text),
    ping && send("the dead-man's switch (PING_URL)", good ? ping : `${ping.replace(/\/$/, '')}/fail`),
  ])
}
