// The certificate renews itself: cron asks four times a day, and people hear of it only when that fails for too long.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { certificateFolder, ISSUED, type Life, lifeOf } from '../crypto/certificate_pair.ts'
import { isLate, lastRenewal, lifeTrouble, RENEWAL, type RenewalState } from '../status/certificate_status.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { readIfThere } from '../system/files.ts'
import { counted } from '../system/format.ts'
import { tellPeople } from '../system/notify.ts'
import { isInstalled } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { writeState } from '../system/state_folder.ts'
import { NameRefused } from './authority.ts'
import { certificateCronText, cronFile, installCron, removeCron } from './cron.ts'
import { bad, type Finding, good, unknown, warning } from './findings.ts'
import { issuedPair, obtainCertificate, type Renewal } from './issued.ts'
import { cronRuns, startCron } from './nightly_backup.ts'

/** In milliseconds: people are told once a day. */
const DAY = 20 * 3_600_000

const note = (state: RenewalState) => writeState(RENEWAL, state, 0o600)

/** Whether people are to hear of a renewal that failed: it is late, and they have not heard of it today. */
export function isToBeTold(life: Life | undefined, before: RenewalState | undefined, now: Date) {
  const told = before?.told === undefined ? 0 : Date.parse(before.told)
  return (life === undefined || isLate(life)) && now.getTime() - told >= DAY
}

const noteFailure = async (settings: Settings, error: unknown, now: Date) => {
  const before = lastRenewal()
  const pair = issuedPair(settings)
  const life = pair && lifeOf(pair.certificate, now)
  const words = messageOf(error)
    .replaceAll(/\s*\n\s*/g, ' ')
    .slice(0, 300)
  const state: RenewalState = {
    ...before,
    time: now.toISOString(),
    error: words,
    since: before?.since ?? now.toISOString(),
    refused: error instanceof NameRefused,
  }
  if (!isToBeTold(life, before, now)) return note(state)
  note({ ...state, told: now.toISOString() })
  const left = (life && lifeTrouble(life, true, state)) ?? words
  await tellPeople(settings, false, `the certificate ${left}`)
}

const WITHOUT =
  'their DNS must lead to this server, or take them out of WHOST_ALIASES; tsx scripts/setup.ts --renew says why'

/** What people hear of a renewal: of one that they heard had failed, and when other names are left out than before. */
export function renewalNews({ life, without }: Renewal, before: Pick<RenewalState, 'told' | 'without'> = {}) {
  const isOther = without.join() !== (before.without ?? []).join()
  if (isOther && without.length > 0)
    return {
      good: false,
      text: `the certificate is not for ${without.join(', ')}, and browsers refuse them: ${WITHOUT}`,
    }
  const all = isOther ? ' for all names of the site' : ''
  const text = `the certificate was renewed${all}, and lasts until ${life.until} (${counted(life.days, 'day')})`
  return isOther || before.told !== undefined ? { good: true, text } : undefined
}

/** Notes that the certificate is as it should be, and tells people what they must know. */
export async function noteRenewal(settings: Settings, renewal: Renewal) {
  const before = lastRenewal()
  // certbot asks only as often as the authority wants (ARI): what was refused still is.
  if (before?.refused && !renewal.isNew) return
  const news = renewalNews(renewal, before)
  note({ time: new Date().toISOString(), ...(renewal.without.length > 0 && { without: renewal.without }) })
  if (news) await tellPeople(settings, news.good, news.text)
}

/**
 * Renews the certificate when it is due, and has nginx serve it; notes how that ended, and tells people (NOTICE_URL)
 * when it fails and little of its life is left. Throws a Failure as obtainCertificate does; 78 when there is none to
 * renew.
 */
export async function renewCertificate(settings: Settings): Promise<Renewal> {
  if (!isIssued(settings))
    throw new Failure(`no authority has given this site its certificate, so there is none to renew`, {
      hint: 'tsx scripts/setup.ts --certificate <mail> gets one; your own is replaced by hand (docs/server.md)',
      exitCode: EXIT.config,
    })
  try {
    const renewal = await obtainCertificate(settings)
    await noteRenewal(settings, renewal)
    return renewal
  } catch (error) {
    // It goes on, and tells itself.
    if (!(error instanceof Failure) || error.exitCode !== EXIT.locked) await noteFailure(settings, error, new Date())
    throw error
  }
}

/** Whether an authority has given this site its certificate, as far as this user may look. */
export function isIssued(settings: Settings) {
  return existsSync(join(certificateFolder(settings), ISSUED))
}

const MEND = 'having cron renew the certificate'

/** What is to be said of the renewal. */
export function renewalFindings(settings: Settings): Finding[] {
  const { COMPOSE_PROJECT_NAME: project, WHOST: site } = settings
  const entry = readIfThere(cronFile(project, 'certificate'))
  if (!isIssued(settings)) {
    const mend = 'having cron ask no authority any more'
    if (entry !== undefined)
      return [warning('cron renews a certificate that is not there', 'remove its entry as root', { mend })]
    return [
      unknown('nothing renews itself here: tsx scripts/setup.ts --certificate <mail> gets a certificate that does'),
    ]
  }
  if (!isInstalled('certbot'))
    return [bad('certbot is not installed, so nothing renews the certificate', 'apt install certbot')]
  if (entry !== certificateCronText(site))
    return [
      bad(
        entry === undefined
          ? 'nothing renews the certificate'
          : "cron's entry for the certificate is of another checkout or version",
        'as root: tsx scripts/setup.ts',
        { mend: MEND },
      ),
    ]
  if (!cronRuns()) return [bad('cron does not run', 'as root: systemctl enable --now cron', { mend: MEND })]
  const last = lastRenewal()
  if (last?.error !== undefined)
    return [
      warning(
        `the last renewal failed, at ${last.time}: ${last.error}`,
        'tsx scripts/setup.ts --renew tries it again, and says what to do',
      ),
    ]
  return [good('four times a day cron asks whether it is due')]
}

/**
 * Installs cron's entry and has cron run, or removes the entry of a certificate that is not there. Throws a Failure
 * (73).
 */
export async function makeRenewing(settings: Settings) {
  const { COMPOSE_PROJECT_NAME: project, WHOST: site } = settings
  if (!isIssued(settings)) return void removeCron(project, 'certificate')
  installCron(project, certificateCronText(site), 'certificate')
  await startCron()
}
