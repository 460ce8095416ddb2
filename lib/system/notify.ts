// Telling others how a backup ended: a chat by its webhook, and a dead-man's switch by a ping.
import type { Settings } from './settings.ts'
import { messageOf } from './errors.ts'
import { say } from './progress.ts'

const PATIENCE = 10_000

// The addresses are secrets: whoever knows one can post. A message of fetch's may hold it, so only its cause is shown.
const send = async (what: string, url: string, body?: object) => {
  const request =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  try {
    const { ok, status } = await fetch(url, { ...request, signal: AbortSignal.timeout(PATIENCE) })
    if (!ok) say.warn(`${what} answered ${status}`)
  } catch (error) {
    say.warn(
      `${what} could not be reached: ${messageOf(error instanceof Error && error.cause ? error.cause : 'no answer')}`,
    )
  }
}

// Only the first line: those below it are of the programs that failed, and may quote rows.
/** Tells that something went well or not, to whom the settings name. Never fails: what was done stays done. */
export async function notify(
  { NOTICE_URL: notice, PING_URL: ping, WHOST: site }: Settings,
  good: boolean,
  text: string,
) {
  const calls = []
  if (notice)
    calls.push(
      send('the webhook (NOTICE_URL)', notice, { text: `${good ? '✓' : '✗'} ${site}: ${text.split('\n')[0]}` }),
    )
  if (ping) calls.push(send("the dead-man's switch (PING_URL)", good ? ping : `${ping.replace(/\/$/, '')}/fail`))
  await Promise.all(calls)
}
