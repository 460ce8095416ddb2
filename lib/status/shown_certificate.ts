// The certificate that a visitor is shown, and what is wrong with it.
import type { X509Certificate } from 'node:crypto'
import type { Trouble } from './troubles.ts'

const DAY = 86_400_000
/** What renews itself has done so by then, and who has to buy a new one has time. */
const LIMIT_DAYS = 14

/** What a visitor's TLS connection tells. */
export interface Shown {
  certificate: X509Certificate | undefined
  /** why browsers refuse it, as Node calls it */
  refusal: string
}

const SELF_MADE = new Set(['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN'])
const REFUSALS: Record<string, string> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'lacks its intermediate certificate, so that some browsers refuse it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'is of an authority that this machine does not know, or lacks an intermediate certificate',
  CERT_REVOKED: 'is revoked: browsers refuse the site',
}

/** What is wrong with the certificate that a site shows; a self-made one may be so on purpose. */
export function certificateTrouble(
  host: string,
  { certificate, refusal }: Shown,
  now = Date.now(),
): Trouble | undefined {
  if (!certificate) return undefined
  const trouble = (text: string, slow = false) => ({ about: 'certificate', text: `the certificate ${text}`, slow })
  const rest = Date.parse(certificate.validTo) - now
  const until = new Date(certificate.validTo).toISOString().slice(0, 10)
  if (rest <= 0) return trouble(`expired on ${until}: browsers refuse the site`)
  if (Date.parse(certificate.validFrom) > now) return trouble(`is not valid before ${certificate.validFrom}`)
  if (certificate.checkHost(host) === undefined)
    return trouble(`is not for ${host}, but for ${certificate.subjectAltName ?? certificate.subject}`)
  if (refusal && !SELF_MADE.has(refusal)) return trouble(REFUSALS[refusal] ?? `is refused by browsers (${refusal})`)
  const life = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)
  if (rest < Math.min(LIMIT_DAYS * DAY, life / 4))
    return trouble(`expires on ${until}, in ${Math.floor(rest / DAY)} days`, true)
  return undefined
}

/** Whether somebody has made it himself, which may be so on purpose. */
export function isSelfMade({ refusal }: Shown) {
  return SELF_MADE.has(refusal)
}
