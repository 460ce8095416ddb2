// The question to the authority: certbot asks it, for all names of the site if that can be.
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { certonly, failureOfCertbot, refusalsIn, refusalTexts } from '../crypto/certbot.ts'
import { lastRenewal } from '../status/certificate_status.ts'
import { root } from '../system/checkout.ts'
import { Failure } from '../system/errors.ts'
import { readIfThere, readOrEmpty } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { attempt } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'

/**
 * certbot writes there as root, and gives what it makes to who owns the folder: so it is not that of the static files,
 * which others may write to.
 */
const WEBROOT = join(root, 'nginx', 'acme')

type Names = [site: string, ...aliases: string[]]

/** In milliseconds: two or three runs of cron. */
const HALF_DAY = 12 * 3_600_000

/** The names that the certificate is for: that of the site, and its other ones. */
export function namesOf({ WHOST, WHOST_ALIASES = [] }: Settings): Names {
  return [WHOST, ...WHOST_ALIASES]
}

/** certbot's own folder: beside those that nginx sees, because the account and old keys are not for it. */
export function certbotFolder({ SSL_DIR }: Settings) {
  return join(resolve(root, SSL_DIR), 'certbot')
}

/** The authority that has given the last certificate; undefined when there was none. */
export function formerDirectory(settings: Settings) {
  const config = readIfThere(join(certbotFolder(settings), 'renewal', `${settings.WHOST}.conf`))
  return config?.match(/^server = (\S+)$/m)?.[1]
}

/** In words: who is asked. */
export function authorityOf({ ACME_DIRECTORY }: Settings) {
  return new URL(ACME_DIRECTORY).host
}

/**
 * certbot takes a lineage whose configuration is damaged (a full disk, a power cut) for none, and begins another beside
 * it, of which nobody reads: without its rest it begins this one anew. What is served is a copy.
 */
export function clearDamaged(folder: string, site: string) {
  const config = join(folder, 'renewal', `${site}.conf`)
  const isWhole = /^fullchain = \S/m.test(readOrEmpty(config))
  if (isWhole || !existsSync(join(folder, 'live', site))) return
  say.warn(`${config} is damaged, so certbot begins anew with this certificate`)
  for (const path of [config, join(folder, 'live', site), join(folder, 'archive', site)])
    rmSync(path, { recursive: true, force: true })
}

/** What certbot says when it gets no certificate for these names; undefined when all is well. */
const askFor = async (settings: Settings, names: Names, mail: string | undefined) => {
  const { ACME_DIRECTORY: directory } = settings
  const folder = certbotFolder(settings)
  const former = formerDirectory(settings)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  mkdirSync(WEBROOT, { recursive: true })
  clearDamaged(folder, settings.WHOST)
  const force = former !== undefined && former !== directory
  const request = { folder, names, webroot: WEBROOT, directory, mail, force }
  // It has ends of its own for each step, of a minute and a half at most.
  const { code, stdout, stderr } = await attempt(['timeout', '900', ...certonly(request)])
  return code === 0 ? undefined : `${stdout}\n${stderr}`
}

/**
 * The names that the others get a certificate without: one that leads nowhere must not take it from all. Never that of
 * the site; and one that is in the present certificate (`has`) only when it has been refused for half a day, since
 * visitors use it and the DNS may come back. When the authority refuses none, but its error is about one (it hears no
 * more of what has failed for too long), it is that, if it was left out before. `failing`: for so many milliseconds.
 */
export function namesToLeave(
  [site, ...aliases]: Names,
  { refused, error }: { refused: string[]; error: string },
  has: string[] | undefined,
  failing: number,
) {
  if (refused.length === 0) return aliases.filter(name => has && !has.includes(name) && error.includes(name))
  const isUsed = refused.some(name => has?.includes(name))
  return refused.includes(site) || (isUsed && failing < HALF_DAY) ? [] : refused
}

const namesIn = (certificate: string) =>
  [...(new X509Certificate(certificate).subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(([, name = '']) => name)

/**
 * Asks for a certificate for all names of the site, and without those that are to be left out; gives these. `present`
 * is the one that the site has of the authority. Throws the Failures of certbot.
 */
export async function askAuthority(settings: Settings, present: string | undefined, mail: string | undefined) {
  const names = namesOf(settings)
  const words = await askFor(settings, names, mail)
  if (words === undefined) return []
  const log = `all of it: ${certbotFolder(settings)}/log/letsencrypt.log`
  const failure = failureOfCertbot(words, names, log)
  const since = lastRenewal()?.since
  const refused = refusalsIn(words).map(({ name }) => name)
  const failing = since === undefined ? 0 : Date.now() - Date.parse(since)
  // certbot begins with whom it asks for.
  const error = words.replaceAll(/^(Requesting|Renewing) .*$/gm, '')
  const left = namesToLeave(names, { refused, error }, present === undefined ? undefined : namesIn(present), failing)
  if (left.length === 0) throw refused.length > 0 && !refused.includes(names[0]) ? patient(failure) : failure
  const texts = refused.length > 0 ? refusalTexts(words) : left.map(name => `${name}: ${failure.message}`)
  for (const text of texts) say.warn(`the certificate is asked for without ${text}`)
  const rest: Names = [names[0], ...names.slice(1).filter(name => !left.includes(name))]
  const again = await askFor(settings, rest, mail)
  if (again !== undefined) throw failureOfCertbot(again, rest, log)
  return left
}

/** Names that visitors use are refused, and not for long: the others wait for them. */
export class NameRefused extends Failure {}

const patient = ({ message, hint, exitCode }: Failure) =>
  new NameRefused(message, {
    hint: `${hint}; what is refused for half a day is left out, and the others are renewed`,
    exitCode,
  })
