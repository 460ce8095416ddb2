// The certificate that an authority gives for the site, from the question to the visitor: certbot gets it, it is
// judged, one rename puts it where nginx looks, and nginx serves it.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import {
  certificateFolder,
  type CertificatePair,
  ISSUED,
  type Life,
  lifeOf,
  readPair,
} from '../crypto/certificate_pair.ts'
import { findNginx } from '../nginx/container.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { readIfThere, replaceFile, sync } from '../system/files.ts'
import { takeLock } from '../system/lock.ts'
import { say } from '../system/progress.ts'
import { isInstalled } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import { isLate } from '../status/certificate_status.ts'
import { askAuthority, certbotFolder, namesOf } from './authority.ts'
import { pairFindings } from './certificates.ts'
import { serveCertificate } from './share_nginx.ts'

const FILES: CertificatePair['names'] = [`${ISSUED}/fullchain.pem`, `${ISSUED}/privkey.pem`]

/** The pair that an authority has given for the site; undefined when it is served another, or none. */
export function issuedPair(settings: Settings) {
  const pair = readPair(certificateFolder(settings), settings.WHOST)
  return pair?.names[0] === FILES[0] ? pair : undefined
}

// What certbot has got, under the names by which nginx finds it.
const gotten = (settings: Settings): CertificatePair => {
  const live = join(certbotFolder(settings), 'live', settings.WHOST)
  const [certificate, key] = ['fullchain.pem', 'privkey.pem'].map(name => readIfThere(join(live, name)))
  if (certificate === undefined || key === undefined)
    throw new Failure(`certbot has left no certificate in ${live}`, { hint: 'its log says why' })
  return { names: FILES, certificate, key, open: false }
}

/**
 * Puts a pair where nginx looks for it: both files change by one rename, also after a power cut. The one before is
 * kept.
 */
export function publishPair(folder: string, { certificate, key }: Pick<CertificatePair, 'certificate' | 'key'>) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const [link, next] = [join(folder, ISSUED), join(folder, `${ISSUED}.new`)]
  // A copy of the folder that followed links has a folder in its place.
  if (lstatSync(link, { throwIfNoEntry: false })?.isDirectory()) renameSync(link, `${link}-copied`)
  const former = readdirSync(folder).includes(ISSUED) ? basename(readlinkSync(link)) : undefined
  // Nobody else may enter it.
  const made = mkdtempSync(join(folder, `${ISSUED}-`))
  replaceFile(join(made, 'privkey.pem'), key, 0o600)
  replaceFile(join(made, 'fullchain.pem'), certificate)
  sync(made)
  rmSync(next, { force: true })
  symlinkSync(basename(made), next)
  renameSync(next, link)
  sync(folder)
  for (const name of readdirSync(folder))
    if (name.startsWith(`${ISSUED}-`) && ![former, basename(made)].includes(name))
      rmSync(join(folder, name), { recursive: true })
}

const checkRoad = async ({ COMPOSE_PROJECT_NAME: project, WHOST: site }: Settings) => {
  if (site === 'localhost')
    throw badConfig('no authority gives a certificate for localhost', 'set WHOST in .env to the name of the site')
  if (!isInstalled('certbot'))
    throw new Failure('certbot is not installed', { hint: 'apt install certbot', exitCode: EXIT.unreachable })
  const nginx = await findNginx(project)
  if (nginx) return nginx
  throw new Failure('nginx does not run, and it is what answers the question of the authority', {
    hint: 'docker compose up -d --no-recreate nginx, then run this again',
    exitCode: EXIT.unreachable,
  })
}

export interface Renewal {
  /** a new certificate came */
  isNew: boolean
  /** nginx had to be reloaded for it: it served no https before */
  reloaded: boolean
  life: Life
  /** the names of the site that it is not for, because the authority refuses them */
  without: string[]
}

/**
 * Gets a certificate for the site and its other names, without those that are refused, or a new one when it is due, and
 * has nginx serve it. `mail`: who the authority writes to; with it an account is made, and its terms are accepted. What
 * is served already is served on when that fails. Throws a Failure: 69 when the authority does not answer or does not
 * reach this site, 75 when another is at work, 78 for what is wrong in the DNS or in .env.
 */
export async function obtainCertificate(settings: Settings, mail?: string): Promise<Renewal> {
  const lock = await takeLock('certificate.lock', () => 'another one that asks for the certificate', 'never')
  try {
    const nginx = await checkRoad(settings)
    const without = await askAuthority(settings, issuedPair(settings)?.certificate, mail)
    const pair = gotten(settings)
    const wrong = pairFindings(settings.WHOST, pair, new Date()).find(({ level }) => level === 'bad')
    if (wrong) throw badConfig(`what the authority gave cannot be used: ${wrong.text}`, wrong.hint)
    const before = issuedPair(settings)
    const isNew = before?.certificate !== pair.certificate || before.key !== pair.key
    if (isNew) {
      publishPair(certificateFolder(settings), pair)
      const names = namesOf(settings).filter(name => !without.includes(name))
      say.step(`certificate: a new one for ${names.join(', ')}; nginx takes it up`)
    }
    const { reloaded } = await serveCertificate(nginx, settings.WHOST, pair.certificate)
    const life = lifeOf(pair.certificate, new Date())
    if (isLate(life))
      throw new Failure(`certbot says that nothing is to be done, and the certificate lasts only until ${life.until}`, {
        hint: `its log may say why: ${certbotFolder(settings)}/log/letsencrypt.log`,
      })
    return { isNew, reloaded, life, without }
  } finally {
    await lock.dispose()
  }
}
