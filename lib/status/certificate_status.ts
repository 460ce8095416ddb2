// How long the certificate still lasts, and how its last renewal ended.
import * as v from 'valibot'
import { certificateFolder, ISSUED, type Life, lifeOf, readPair } from '../crypto/certificate_pair.ts'
import { age, counted } from '../system/format.ts'
import { time } from '../system/schema.ts'
import type { Settings } from '../system/settings.ts'
import { readState } from '../system/state_folder.ts'

/** The file of the state that the renewals are noted in. */
export const RENEWAL = 'certificate.json'

/**
 * The part of its life that is left when a renewal is late: certbot begins at a third, and has tried for some time
 * then.
 */
const LATE = 1 / 4
/** certbot before 4.0 begins 30 days before the end, however long the life is */
const LATE_DAYS = 28

/** Whether the renewal of what renews itself is late. */
export function isLate({ share, days }: Life) {
  return share < LATE && days < LATE_DAYS
}

const STATE = v.object({
  /** when the last attempt ended */
  time,
  /** why it failed; absent when it did not */
  error: v.exactOptional(v.string()),
  /** since when all have failed */
  since: v.exactOptional(time),
  /** it was a name that the authority refused */
  refused: v.exactOptional(v.boolean()),
  /** when people were told so */
  told: v.exactOptional(time),
  /** the names of the site that the certificate is not for, because the authority refuses them */
  without: v.exactOptional(v.array(v.string())),
})

/** How the last attempt to renew the certificate ended. */
export type RenewalState = v.InferOutput<typeof STATE>

/** The last attempt; undefined when there was none. */
export function lastRenewal() {
  return readState(RENEWAL, STATE)
}

export interface CertificateState extends Life {
  /** it is an authority's, and renews itself */
  renewsItself: boolean
  renewal: RenewalState | null
  /** what is wrong, in words; null when nothing is */
  trouble: string | null
}

/** What is wrong with a certificate that lasts so long, in words; null when nothing is. */
export function lifeTrouble(life: Life, renewsItself: boolean, renewal?: RenewalState) {
  const { until, days, share } = life
  if (share <= 0) return `expired on ${until}`
  const failing = renewal?.since ? `; its renewal has failed for ${age(new Date(renewal.since))}: ${renewal.error}` : ''
  return renewsItself && isLate(life) ? `expires in ${counted(days, 'day')}, and was not renewed${failing}` : null
}

/** The state of the site's certificate; null when there is none, or none that this user may read. */
export function readCertificateState(settings: Settings, now = new Date()): CertificateState | null {
  if (settings.WHOST === 'localhost') return null
  try {
    const pair = readPair(certificateFolder(settings), settings.WHOST)
    if (!pair) return null
    const [life, renewal] = [lifeOf(pair.certificate, now), lastRenewal()]
    const renewsItself = pair.names[0].startsWith(`${ISSUED}/`)
    const trouble = lifeTrouble(life, renewsItself, renewal)
    return { ...life, renewsItself, renewal: renewsItself ? (renewal ?? null) : null, trouble }
  } catch {
    // setup.ts --check says what is wrong with the files.
    return null
  }
}
