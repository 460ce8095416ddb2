// The certificate of the site, looked for and judged as nginx/start/10-settings.sh and browsers do.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { root } from '../system/checkout.ts'
import type { Settings } from '../system/settings.ts'
import { EXIT, messageOf } from '../system/errors.ts'
import { bad, type Finding, good, unknown, warning } from './findings.ts'

/** What renews itself has done so by then, and who has to buy a new one has time. */
const LIMIT_DAYS = 21
const DAY = 86_400_000

export interface CertificatePair {
  /** the names of the two files */
  names: [certificate: string, key: string]
  /** in PEM's form */
  certificate: string
  key: string
  /** every user of this machine may read the key */
  open: boolean
}

// As in nginx/start/10-settings.sh.
const pairsOf = (site: string): CertificatePair['names'][] => [
  ['fullchain.pem', 'privkey.pem'],
  [`${site}.crt`, `${site}.key`],
  [`${site}.crt`, `entrust-${site}-key.pem`],
]

// A link that leads out of the folder leads nowhere in nginx's container.
const isInside = (folder: string, name: string) =>
  existsSync(join(folder, name)) && realpathSync(join(folder, name)).startsWith(`${realpathSync(folder)}/`)

const readPair = (folder: string, site: string): CertificatePair | undefined => {
  const names = pairsOf(site).find(names => names.every(name => isInside(folder, name)))
  if (!names) return undefined
  const [certificate, key] = names.map(name => readFileSync(join(folder, name), 'utf8')) as [string, string]
  return { names, certificate, key, open: (statSync(join(folder, names[1])).mode & 0o007) !== 0 }
}

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

const days = (milliseconds: number) => `${Math.floor(milliseconds / DAY)} days`

const dateFindings = (name: string, { validFrom, validTo }: X509Certificate, now: Date): Finding[] => {
  const [begins, ends] = [Date.parse(validFrom), Date.parse(validTo)]
  const until = new Date(ends).toISOString().slice(0, 10)
  if (begins > now.getTime())
    return [
      bad(`${name} is valid only from ${validFrom} on`, 'is the clock of this server right (date)?', {
        exitCode: EXIT.config,
      }),
    ]
  const renew = 'renew it, then: docker compose exec -T nginx /etc/nginx/avril/reload.sh'
  if (ends <= now.getTime())
    return [bad(`${name} expired on ${until}: browsers refuse the site`, renew, { exitCode: EXIT.config })]
  if (ends - now.getTime() < LIMIT_DAYS * DAY)
    return [warning(`${name} expires on ${until}, in ${days(ends - now.getTime())}`, 'does what renews it still run?')]
  return [good(`${name}, until ${until} (${days(ends - now.getTime())})`)]
}

/** What is to be said of a certificate and its key. */
export function pairFindings(
  site: string,
  { names: [name, keyName], certificate, key, open }: CertificatePair,
  now: Date,
  aliases: string[] = [],
): Finding[] {
  const leaf = parse(() => new X509Certificate(certificate))
  if (!leaf.value) return [wrong(`${name} is no certificate: ${leaf.error}`, 'put the certificate there, in PEM form')]
  const own = parse(() => createPrivateKey(key))
  if (!own.value)
    return [
      wrong(
        `${keyName} is no private key that nginx can use: ${own.error}`,
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
    ...dateFindings(name, leaf.value, now),
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
        'have its name put into the certificate; http redirects all the same',
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
export function certificateFindings({ WHOST: site, WHOST_ALIASES = [], SSL_DIR }: Settings): Finding[] {
  if (site === 'localhost') return [good('none is needed for localhost')]
  const folder = join(resolve(root, SSL_DIR), site)
  try {
    if (!existsSync(folder) || readdirSync(folder).length === 0)
      return [
        warning(
          `there is none in ${folder}: the site is served by http, in the clear`,
          'put fullchain.pem and privkey.pem there (files, not links)',
        ),
      ]
    const pair = readPair(folder, site)
    if (pair) return pairFindings(site, pair, new Date(), WHOST_ALIASES)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    return [unknown(`only another user may read ${folder}`)]
  }
  const wanted = pairsOf(site)
    .map(names => names.join(' and '))
    .join(', or ')
  return [
    wrong(`${folder} holds neither ${wanted}`, 'a link that leads out of the folder counts as absent: copy the files'),
  ]
}
