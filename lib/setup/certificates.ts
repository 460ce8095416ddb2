// The certificate of the site, looked for and judged as nginx/certificate.sh and browsers do.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import {
  certificateFolder,
  type CertificatePair,
  ISSUED,
  lifeOf,
  pairNames,
  readPair,
} from '../crypto/certificate_pair.ts'
import { isLate } from '../status/certificate_status.ts'
import type { Settings } from '../system/settings.ts'
import { EXIT, messageOf } from '../system/errors.ts'
import { bad, type Finding, good, unknown, warning } from './findings.ts'
import { counted } from '../system/format.ts'

/** In days: who has to buy a new one has time then. */
const LIMIT = 21
const parse = <T>(read: () => T) => {
  try {
    return { value: read() }
  } catch (error) {
    return { error: messageOf(error) }
  }
}

const wrong = (text: string, hint: string) =>
  bad(
    text,
    `${hint}. Until then nginx cannot serve the site; one that runs takes it up by docker compose restart nginx`,
    { exitCode: EXIT.config },
  )

const renewsItself = (name: string) => name.startsWith(`${ISSUED}/`)

const dateFindings = (name: string, certificate: string, now: Date): Finding[] => {
  const { validFrom } = new X509Certificate(certificate)
  const life = lifeOf(certificate, now)
  const { until, days, share } = life
  if (Date.parse(validFrom) > now.getTime())
    return [
      bad(`${name} is valid only from ${validFrom} on`, 'is the clock of this server right (date)?', {
        exitCode: EXIT.config,
      }),
    ]
  const renew = renewsItself(name)
    ? 'tsx scripts/setup.ts --renew says why it was not renewed'
    : 'put a new one there, then: docker compose exec -T nginx /etc/nginx/avril/certificate.sh'
  if (share <= 0)
    return [bad(`${name} expired on ${until}: browsers refuse the site`, renew, { exitCode: EXIT.config })]
  if (renewsItself(name) ? isLate(life) : days < LIMIT)
    return [warning(`${name} expires on ${until}, in ${counted(days, 'day')}`, renew)]
  return [good(`${name}, until ${until} (${counted(days, 'day')})`)]
}

/** What is to be said of a certificate and its key. */
export function pairFindings(
  site: string,
  { names: [name, keyName], certificate, key, open }: CertificatePair,
  now: Date,
  aliases: string[] = [],
): Finding[] {
  const leaf = parse(() => new X509Certificate(certificate))
  if (!leaf.value)
    return [wrong(`${name} is not a certificate: ${leaf.error}`, 'put the certificate there, in PEM form')]
  const own = parse(() => createPrivateKey(key))
  if (!own.value)
    return [
      wrong(
        `${keyName} is not a private key that nginx can use: ${own.error}`,
        'it must be in PEM form, without a passphrase',
      ),
    ]
  if (!leaf.value.checkPrivateKey(own.value))
    return [wrong(`${keyName} is not the key of ${name}`, 'put the two together that belong together')]
  const { subject, issuer, subjectAltName = subject } = leaf.value
  const fits = leaf.value.checkHost(site) !== undefined
  const foreign = aliases.filter(alias => leaf.value?.checkHost(alias) === undefined)
  const alone = subject !== issuer && (certificate.match(/-----BEGIN CERTIFICATE-----/g) ?? []).length < 2
  return [
    ...dateFindings(name, certificate, now),
    ...(fits
      ? []
      : [
          bad(`${name} is not for ${site}, but for ${subjectAltName}`, 'browsers refuse it; is WHOST right?', {
            exitCode: EXIT.config,
          }),
        ]),
    ...foreign.map(alias =>
      warning(
        `${name} is not for ${alias} (WHOST_ALIASES): browsers refuse https://${alias}/`,
        renewsItself(name)
          ? 'tsx scripts/setup.ts --renew has its name put into the certificate, or says why it cannot'
          : 'have its name put into the certificate; http redirects all the same',
      ),
    ),
    ...(alone
      ? [
          warning(
            `${name} has no intermediate certificate: some browsers refuse it`,
            'the file must hold the whole chain',
          ),
        ]
      : []),
    ...(open ? [warning(`${keyName} can be read by every user of this machine`, `chmod o= ${keyName}`)] : []),
  ]
}

/** What is to be said of the certificates of this site. */
export function certificateFindings(settings: Settings): Finding[] {
  const { WHOST: site, WHOST_ALIASES = [] } = settings
  if (site === 'localhost') return [good('none is needed for localhost')]
  const folder = certificateFolder(settings)
  try {
    if (!existsSync(folder) || readdirSync(folder).length === 0)
      return [
        warning(
          `there is none in ${folder}: the site is served by http, in the clear`,
          'tsx scripts/setup.ts --certificate <mail> gets one that renews itself; or put your own fullchain.pem ' +
            'and privkey.pem there (files, not links)',
        ),
      ]
    const pair = readPair(folder, site)
    if (pair) return pairFindings(site, pair, new Date(), WHOST_ALIASES)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    return [unknown(`only another user may read ${folder}`)]
  }
  const wanted = pairNames(site)
    .slice(1)
    .map(names => names.join(' and '))
    .join(', or ')
  return [
    wrong(`${folder} holds neither ${wanted}`, 'a link that leads out of the folder counts as absent: copy the files'),
  ]
}
