// The words of maintenance.ts, and what they come to.
import { hasOverrun, type Maintenance } from '../nginx/maintenance.ts'
import { usage } from '../system/errors.ts'
import { age } from '../system/format.ts'
import { who } from '../system/identity.ts'
import { isIn, readNetwork } from '../system/networks.ts'
import type { Settings } from '../system/settings.ts'
import { parisTime, readTime } from '../system/site_time.ts'

interface Words {
  url: string | undefined
  message: string | undefined
  until: string | undefined
  allow: string[]
}

const readUrl = (text: string) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url
  throw usage(`${JSON.stringify(text)} is no address to send visitors to`, 'one that begins with https:// or http://')
}

/**
 * How the site is to be closed. `inner`: nginx's own addresses in Docker's networks. Throws a Failure (64) for words
 * that say nothing, or the wrong thing.
 */
export function closureOf(
  { url, message, until, allow }: Words,
  settings: Pick<Settings, 'WHOST' | 'WHOST_ALIASES' | 'FORWARDED_FROM'>,
  inner: string[],
): Maintenance {
  const target = url === undefined ? null : readUrl(url)
  const own = [settings.WHOST, ...(settings.WHOST_ALIASES ?? [])].map(name => name.toLowerCase())
  if (target && own.includes(target.hostname.replace(/\.$/, '')))
    throw usage(`${target.hostname} is this site itself: visitors would go round in circles`)
  const networks = allow.map(readNetwork)
  const { FORWARDED_FROM: forwarder } = settings
  if (forwarder !== undefined && networks.some(network => isIn(forwarder, network)))
    throw usage(
      `${forwarder} is the old machine (FORWARDED_FROM): to nginx all whom it hands on have its address, so all ` +
        'of them would be allowed',
    )
  // Whom Docker hands on (IPv6 without NETWORK_IPV6) has an address of that network.
  if (networks.some(network => inner.some(address => isIn(address, network))))
    throw usage(
      `--allow has a network that Docker's own lies in (${inner.join(', ')}): visitors whom Docker hands on would ` +
        'be allowed too',
      'name smaller networks',
    )
  return {
    since: new Date().toISOString(),
    who: who(),
    url: target?.href ?? null,
    message: message ?? null,
    until: until === undefined ? null : readTime(until).toISOString(),
    allow: networks,
  }
}

/** How the site is closed, in words. */
export function maintenanceText(state: Maintenance | undefined) {
  if (!state) return 'the site is open for visitors'
  const { url, message, until, since, who, allow } = state
  const back = until === null ? undefined : parisTime(new Date(until))
  return [
    url === null
      ? 'maintenance: visitors get a page that says so (503); maintenance.ts off opens the site'
      : `the site is closed for good: visitors are sent to ${url}; maintenance.ts off opens it`,
    `by ${who}, ${age(new Date(since))} ago`,
    ...(message === null ? [] : [`it says: ${message}`]),
    ...(back === undefined
      ? []
      : [hasOverrun(state) ? `it was to be over at ${back}, and is still on` : `until ${back}`]),
    ...(allow.length === 0 ? [] : [`allowed: ${allow.map(({ text }) => text).join(', ')}`]),
  ].join('\n  ')
}
