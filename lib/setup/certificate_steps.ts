// The steps about the certificate: an authority is asked for one, it renews itself, and nginx serves what lies there.
import { join } from 'node:path'
import { certificateFolder, isSameCertificate, readPair } from '../crypto/certificate_pair.ts'
import { findNginx, type Nginx, type Other } from '../nginx/container.ts'
import { servedCertificate } from '../nginx/take_up_certificate.ts'
import { root } from '../system/checkout.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { isInstalled, show } from '../system/run.ts'
import { say } from '../system/progress.ts'
import type { Settings } from '../system/settings.ts'
import { certificateFindings } from './certificates.ts'
import { bad, type Finding, good, unknown, warning } from './findings.ts'
import { authorityOf, formerDirectory, namesOf } from './authority.ts'
import { issuedPair, obtainCertificate } from './issued.ts'
import { cronRuns } from './nightly_backup.ts'
import { makeRenewing, noteRenewal, renewalFindings } from './renewal.ts'
import type { Step } from './setup.ts'
import { serveCertificate } from './share_nginx.ts'

const NOT_PUBLIC = 'not looked at (WHOST=localhost)'

const issueFindings = (settings: Settings, mail: string): Finding[] => {
  const found = certificateFindings(settings)
  const isOurs = issuedPair(settings) !== undefined && formerDirectory(settings) === settings.ACME_DIRECTORY
  const [names, authority] = [namesOf(settings).join(', '), authorityOf(settings)]
  const mend = `asking ${authority} for a certificate for ${names}. Its terms are accepted by that, for ${mail}`
  // One that lacks a name which the authority refuses is in order as far as that goes, and asked for again.
  if (isOurs && found.every(({ level }) => level === 'good' || level === 'warning'))
    return found.map(it => (it.level === 'warning' ? { ...it, mend } : it))
  return [bad(`there is no certificate of ${authority} for ${names}`, undefined, { mend, exitCode: EXIT.failed })]
}

const issue = async (settings: Settings, mail: string) => {
  const renewal = await obtainCertificate(settings, mail)
  await noteRenewal(settings, renewal)
  say.detail(
    renewal.reloaded ? 'nginx was reloaded, once: it served no https before' : 'nginx serves it, without a reload',
  )
}

/** What gets a certificate, and has it renewed; cron may be one of another name. */
const missingPrograms = () =>
  ['certbot', 'cron'].filter(program => !isInstalled(program) && !(program === 'cron' && cronRuns()))

const certbotFindings = (): Finding[] => {
  const missing = missingPrograms()
  if (missing.length === 0) return [good('it is installed, and cron too')]
  const which = missing.join(' and ')
  return [
    bad(`${which} ${missing.length === 1 ? 'is' : 'are'} not installed`, `apt install ${missing.join(' ')}`, {
      mend: `installing ${which}, from the distribution's packages`,
      exitCode: EXIT.unreachable,
    }),
  ]
}

const installCertbot = async () => {
  const missing = missingPrograms()
  try {
    await show(['bash', join(root, 'lib', 'docker', 'engine.sh'), ...missing])
  } catch (error) {
    throw new Failure(`${missing.join(' and ')} cannot be installed: ${messageOf(error)}`, {
      hint: `as root: apt install ${missing.join(' ')}, then run this again`,
      exitCode: EXIT.unreachable,
      cause: error,
    })
  }
}

const pairOf = (settings: Settings) => {
  // The step "certificate" says what is wrong with one.
  if (certificateFindings(settings).some(({ level }) => level === 'bad' || level === 'unknown')) return undefined
  return readPair(certificateFolder(settings), settings.WHOST)
}

const nameOf = (one: Nginx | Other) => ('node' in one ? `nginx of ${one.node}` : 'nginx')

/** Whether visitors are shown the certificate that lies in the folder. */
const servedFindings = async (settings: Settings): Promise<Finding[]> => {
  if (settings.WHOST === 'localhost') return [unknown(NOT_PUBLIC)]
  const [nginx, pair] = [await findNginx(settings.COMPOSE_PROJECT_NAME), pairOf(settings)]
  if (!nginx || !pair) return [unknown(nginx ? 'there is no certificate to serve' : 'nginx does not run')]
  const ask = async (one: Nginx) => {
    const isServed = isSameCertificate(await servedCertificate(one, settings.WHOST), pair.certificate)
    return isServed ? [] : [nameOf(one)]
  }
  const without = (await Promise.all([nginx, ...nginx.others].map(ask))).flat()
  if (without.length === 0) return [good(`nginx serves ${pair.names[0]}`)]
  return [
    warning(`${without.join(', ')} does not serve ${pair.names[0]} yet`, undefined, {
      mend: 'having nginx serve the certificate that lies there',
    }),
  ]
}

const serve = async (settings: Settings) => {
  const [nginx, pair] = [await findNginx(settings.COMPOSE_PROJECT_NAME), pairOf(settings)]
  if (nginx && pair) await serveCertificate(nginx, settings.WHOST, pair.certificate)
}

/** What a site does about its certificate that has been started. */
export function certificateSteps(settings: () => Settings): Step[] {
  return [
    {
      name: 'served',
      needs: ['compose', 'certificate'],
      look: () => servedFindings(settings()),
      mend: () => serve(settings()),
    },
    {
      name: 'renewal',
      needs: ['settings'],
      look: () => (settings().WHOST === 'localhost' ? [unknown(NOT_PUBLIC)] : renewalFindings(settings())),
      mend: () => makeRenewing(settings()),
    },
  ]
}

/** The steps that get a certificate of the authority; `mail` is whom that writes to. */
export function issueSteps(settings: () => Settings, mail: string): Step[] {
  return [
    { name: 'certbot', needs: [], look: certbotFindings, mend: installCertbot },
    {
      name: 'certificate',
      needs: ['compose', 'certbot'],
      look: () => issueFindings(settings(), mail),
      mend: () => issue(settings(), mail),
    },
    ...certificateSteps(settings),
  ]
}
