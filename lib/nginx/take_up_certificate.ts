// nginx serves the certificate that lies in its folder: without a reload, unless it has served none until now.
import { isSameCertificate } from '../crypto/certificate_pair.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { askNginx, FOLDER, type Nginx } from './container.ts'
import { lastTrouble } from './prove.ts'

/** Each worker looks again after a second. */
const PATIENCE = 10_000

/** The certificates that a visitor of the site is shown, in PEM form; empty when there is no handshake. */
export async function servedCertificate(nginx: Nginx, site: string) {
  const asked = ['--connect-to', '::127.0.0.1:443', `https://${site}/healthcheck`]
  const words = ['--silent', '--insecure', '--max-time', '5', '--output', '/dev/null', '--write-out', '%{certs}']
  return (await nginx.run(['curl', ...words, ...asked])).stdout
}

const isServed = async (nginx: Nginx, site: string, certificate: string) => {
  const ask = async () =>
    isSameCertificate(await servedCertificate(nginx, site), certificate) ? undefined : 'another one is served'
  return (await lastTrouble(ask, Date.now() + PATIENCE)) === undefined
}

const modeOf = async (nginx: Nginx) => (await askNginx(nginx, '', '--max-time', '5')).stdout.trim()

const runThere = async (nginx: Nginx, script: string) => {
  const { code, stdout, stderr } = await nginx.run([`${FOLDER}/${script}`])
  const said = (stderr.trim() || stdout.trim()).replace(/^avril: /, '')
  if (code === EXIT.config)
    throw badConfig(
      `nginx does not take the certificate: ${said}`,
      'visitors are served as before; correct the files, then run this again',
    )
  if (code !== 0)
    throw new Failure(`nginx could not take up the certificate: ${said || `${script} ended with ${code}`}`)
}

/**
 * Has nginx serve the certificate of its folder, which is given as PEM, and proves it by a handshake; gives whether it
 * took a reload. Throws a Failure (78 when nginx does not take the files); what was served is served on then.
 */
export async function takeUpCertificate(nginx: Nginx, site: string, certificate: string) {
  if ((await modeOf(nginx)) === 'tls') {
    await runThere(nginx, 'certificate.sh')
    if (await isServed(nginx, site, certificate)) return { reloaded: false }
  }
  // It served no https, or was started with a configuration of a former version.
  for (const script of ['start/10-settings.sh', 'reload.sh']) await runThere(nginx, script)
  if (await isServed(nginx, site, certificate)) return { reloaded: true }
  throw new Failure(`nginx does not serve the new certificate of ${site}`, {
    hint: 'its log says why: tsx scripts/logs.ts nginx',
  })
}
