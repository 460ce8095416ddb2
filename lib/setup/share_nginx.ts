// What nginx of this machine has, for those of the other nodes of a Swarm: its files, and the certificate.
import { isSwarm, listNodes, WEB_NODE } from '../docker/swarm.ts'
import type { Nginx } from '../nginx/container.ts'
import { takeUpCertificate } from '../nginx/take_up_certificate.ts'
import { Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { sendNginx } from './node_nginx.ts'

/**
 * Has each nginx serve a certificate that lies in its folder here (PEM), as `takeUpCertificate` does; gives whether
 * this machine's took a reload. Another node that does not take it is a warning: cron tries again.
 */
export async function serveCertificate(nginx: Nginx, site: string, certificate: string) {
  const taken = await takeUpCertificate(nginx, site, certificate)
  if (!isSwarm()) return taken
  const nodes = (await listNodes()).filter(({ isHere, labels }) => !isHere && labels[WEB_NODE] === 'true')
  for (const { name, host } of nodes)
    try {
      const other = nginx.others.find(({ node }) => node === name)
      if (!other) throw new Failure('it is not reached')
      await sendNginx(host)
      await takeUpCertificate(other, site, certificate)
    } catch (error) {
      say.warn(`nginx of ${name} serves the certificate of before: ${messageOf(error)}`)
    }
  return taken
}
