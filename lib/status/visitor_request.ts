// One request of a visitor, by the public name, and why nothing came of it.
import { X509Certificate } from 'node:crypto'
import { request as ask, type RequestOptions } from 'node:http'
import { request as askByTls } from 'node:https'
import {
  type ConnectionOptions,
  createSecureContext,
  rootCertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import { readIfThere } from '../system/files.ts'
import type { Shown } from './shown_certificate.ts'
import type { SiteAddress } from './site_address.ts'

/** milliseconds that a visitor waits */
const PATIENCE = 10_000
/** bytes of a page */
const MOST = 16e6

/** What is connected to. */
export interface Destination {
  address: string
  port: number
}

/** What came back. */
export interface Heard extends Shown {
  status: number
  location: string
  body: string
}

// Node knows the authorities that browsers know, and none that this machine was told of.
const SYSTEM_AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'
let trusted: SecureContext | undefined
const trustedAuthorities = () => {
  const ca = [...rootCertificates, readIfThere(SYSTEM_AUTHORITIES)].filter(it => it !== undefined)
  return (trusted ??= createSecureContext({ ca }))
}

/** Asks for a page by the site's name, at an address. Rejects when nothing whole comes in time. */
export function getPage({ scheme, host }: SiteAddress, { address, port }: Destination, path: string) {
  return new Promise<Heard>((done, fail) => {
    const options: RequestOptions & ConnectionOptions = {
      host: address,
      port,
      path,
      servername: host,
      ...(scheme === 'https' && { secureContext: trustedAuthorities() }),
      // What is wrong with a certificate is told in words, and the page looked at all the same.
      rejectUnauthorized: false,
      headers: { host, 'user-agent': 'avril-watch', accept: 'text/html,*/*' },
      agent: false,
      signal: AbortSignal.timeout(PATIENCE),
    }
    const request = (scheme === 'https' ? askByTls : ask)(options, answer => {
      const socket = answer.socket as TLSSocket
      const raw = scheme === 'https' ? socket.getPeerCertificate().raw : undefined
      const refusal = scheme === 'https' ? String(socket.authorizationError ?? '') : ''
      const chunks: Buffer[] = []
      let rest = MOST
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        rest -= chunk.length
        if (rest < 0) answer.destroy(new Error('its page does not end'))
      })
      answer.on('error', fail)
      answer.on('end', () =>
        done({
          status: answer.statusCode ?? 0,
          location: answer.headers.location ?? '',
          body: Buffer.concat(chunks).toString(),
          certificate: raw && new X509Certificate(raw),
          refusal,
        }),
      )
    })
    request.on('error', fail)
    request.end()
  })
}

/** What Node calls it. */
export function codeOf(error: unknown) {
  const { code, name } = error as NodeJS.ErrnoException
  return name === 'AbortError' || name === 'TimeoutError' ? 'ETIMEDOUT' : (code ?? '')
}

const WORDS: Record<string, string> = {
  ETIMEDOUT: `does not answer within ${PATIENCE / 1000} s`,
  ECONNREFUSED: 'refuses connections: nothing listens there',
  ECONNRESET: 'cuts the connection before it has answered',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached: no network leads there',
  ENOTFOUND: 'is a name that the DNS does not know',
  EAI_AGAIN: 'cannot be looked up: the DNS of this server does not answer',
  EPROTO: 'refuses the TLS handshake: nginx has no certificate for this name',
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: 'refuses the TLS handshake: nginx has no certificate for this name',
}

/** Why nothing came, in words that follow a name. */
export function wordsOf(error: unknown) {
  return WORDS[codeOf(error)] ?? `does not answer: ${(error as Error).message.split('\n')[0]?.slice(0, 120)}`
}
