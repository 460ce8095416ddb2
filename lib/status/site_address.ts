// Where the site is, by its settings.
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { root } from '../system/checkout.ts'
import type { Settings } from '../system/settings.ts'

/** Where the site is, for visitors and for this machine itself. */
export interface SiteAddress {
  scheme: 'http' | 'https'
  /** the public name */
  host: string
  port: number
  /** where nginx listens on this machine */
  here: { address: string; port: number }
}

// As nginx/start/10-settings.sh: with anything in the folder it serves no http any more.
const hasCertificate = ({ WHOST: site, SSL_DIR }: Settings) => {
  const folder = join(resolve(root, SSL_DIR), site)
  try {
    return existsSync(folder) && readdirSync(folder).length > 0
  } catch {
    // It is there, and not for this user to read.
    return true
  }
}

/**
 * Where visitors find the site of these settings: a public one has the standard ports, here or on a balancer before it.
 */
export function placeOf(settings: Settings): SiteAddress {
  const { WHOST: host, NGINX_BIND: bind, NGINX_PORT, NGINX_TLS_PORT } = settings
  const scheme = host !== 'localhost' && hasCertificate(settings) ? 'https' : 'http'
  const own = scheme === 'https' ? NGINX_TLS_PORT : NGINX_PORT
  const standard = scheme === 'https' ? 443 : 80
  const address = bind === undefined || bind === '0.0.0.0' ? '127.0.0.1' : bind
  return { scheme, host, port: host === 'localhost' ? own : standard, here: { address, port: own } }
}
