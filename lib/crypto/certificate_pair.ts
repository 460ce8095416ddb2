// A certificate and its key as they lie in a folder: found as nginx/certificate.sh finds them.
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { root } from '../system/checkout.ts'
import type { Settings } from '../system/settings.ts'

const DAY = 86_400_000

/** The link to the pair that setup.ts has got of an authority; it changes by a rename. */
export const ISSUED = 'issued'

export interface CertificatePair {
  /** the names of the two files */
  names: [certificate: string, key: string]
  /** in PEM's form */
  certificate: string
  key: string
  /** every user of this machine may read the key */
  open: boolean
}

/** The names that the two files may have, those that come first first (nginx/certificate.sh). */
export function pairNames(site: string): CertificatePair['names'][] {
  return [
    [`${ISSUED}/fullchain.pem`, `${ISSUED}/privkey.pem`],
    ['fullchain.pem', 'privkey.pem'],
    [`${site}.crt`, `${site}.key`],
    [`${site}.crt`, `entrust-${site}-key.pem`],
  ]
}

// A link that leads out of the folder leads nowhere in nginx's container.
const isInside = (folder: string, name: string) =>
  existsSync(join(folder, name)) && realpathSync(join(folder, name)).startsWith(`${realpathSync(folder)}/`)

/** The pair of a site; undefined when there is none. Throws the system's error when it cannot be read. */
export function readPair(folder: string, site: string): CertificatePair | undefined {
  const names = pairNames(site).find(names => names.every(name => isInside(folder, name)))
  if (!names) return undefined
  const [certificate, key] = names.map(name => readFileSync(join(folder, name), 'utf8')) as [string, string]
  return { names, certificate, key, open: (statSync(join(folder, names[1])).mode & 0o007) !== 0 }
}

export interface Life {
  /** the end, as YYYY-MM-DD */
  until: string
  /** whole days that are left; negative when it has expired */
  days: number
  /** the part of its life that is left: 1 at the beginning, 0 or less at the end */
  share: number
}

/** How long a certificate still lasts. Throws when the text is none. */
export function lifeOf(certificate: string, now: Date): Life {
  const { validFrom, validTo } = new X509Certificate(certificate)
  const [begins, ends] = [Date.parse(validFrom), Date.parse(validTo)]
  const left = ends - now.getTime()
  return {
    until: new Date(ends).toISOString().slice(0, 10),
    days: Math.floor(left / DAY),
    share: left / Math.max(ends - begins, 1),
  }
}

/** Whether the first certificates of two PEM texts are the same; a text that is none is like no other. */
export function isSameCertificate(one: string, other: string) {
  try {
    return new X509Certificate(one).fingerprint256 === new X509Certificate(other).fingerprint256
  } catch {
    return false
  }
}

/** Where the files of a site's certificate lie on this machine; nginx sees that folder as /ssl. */
export function certificateFolder({ WHOST, SSL_DIR }: Pick<Settings, 'WHOST' | 'SSL_DIR'>) {
  return join(resolve(root, SSL_DIR), WHOST)
}
