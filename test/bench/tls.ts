// The site of the benchmark by https, with a certificate that it has signed itself.
import { createHash, X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture } from '../../lib/system/run.ts'
import type { Site } from './site.ts'

export const HOST = 'site.test'
export const TLS_PORT = 18_301

/**
 * Serves the site by https, at port TLS_PORT of this machine and under the name HOST. Gives the hash of its public key,
 * by which a browser may be told to trust it.
 */
export async function makeTls(site: Site, settings: Record<string, number | string> = {}) {
  const folder = join(site.folder, '..', 'ssl', HOST)
  mkdirSync(folder, { recursive: true })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const files = ['-out', join(folder, 'fullchain.pem'), '-keyout', join(folder, 'privkey.pem')]
  await capture(['openssl', 'req', '-x509', ...key, '-subj', `/CN=${HOST}`, ...files])
  const { publicKey } = new X509Certificate(readFileSync(join(folder, 'fullchain.pem')))
  const spki = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')
  site.set({ WHOST: HOST, SSL_DIR: '../ssl', NGINX_TLS_PORT: TLS_PORT, ...settings })
  await capture(['docker', 'compose', 'up', '--detach', '--wait'], { cwd: site.folder })
  return { spki }
}
