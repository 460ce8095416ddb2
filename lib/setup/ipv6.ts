// Whether visitors who have IPv6 reach the site, and are told apart there.
import { Resolver } from 'node:dns/promises'
import { connect } from 'node:net'
import { docker } from '../docker/commands.ts'
import { hasPublicIpv6 } from '../system/networks.ts'
import type { Settings } from '../system/settings.ts'
import { type Finding, good, unknown, unless, warning } from './findings.ts'
import { attempt } from '../system/run.ts'

/** milliseconds for a server of names, and for an address, to answer */
const PATIENCE = 3000

export interface Ipv6Facts {
  /**
   * the addresses of the AAAA records of the site, each with why nobody can connect to it; undefined when no server of
   * names answered
   */
  records: { address: string; trouble: string | undefined }[] | undefined
  /** this machine has an address that the world could know */
  reachable: boolean
}

const troubleAt = (address: string, port: number) =>
  new Promise<string | undefined>(resolve => {
    const socket = connect({ host: address, port, timeout: PATIENCE })
    const end = (trouble?: string) => {
      socket.destroy()
      resolve(trouble)
    }
    socket.once('connect', () => end())
    socket.once('timeout', () => end('no answer'))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
  })

// ENODATA: the name has no such record; ENOTFOUND: it is none.
const recordsOf = (site: string) =>
  new Resolver({ timeout: PATIENCE, tries: 1 })
    .resolve6(site)
    .catch((error: NodeJS.ErrnoException) => (error.code === 'ENODATA' || error.code === 'ENOTFOUND' ? [] : undefined))

/** Looks the site's name up, and connects to each address of IPv6 that it has, on a port. */
export async function readIpv6(site: string, port: number): Promise<Ipv6Facts> {
  const addresses = await recordsOf(site)
  const records =
    addresses &&
    (await Promise.all(addresses.map(async address => ({ address, trouble: await troubleAt(address, port) }))))
  return { records, reachable: hasPublicIpv6() }
}

const LISTEN =
  'an empty NGINX_BIND and NETWORK_IPV6=true have nginx listen there (.env.example says how); or take the record ' +
  'out of the DNS'

/** What visitors by IPv6 meet. */
export function ipv6Findings(
  { WHOST: site, NGINX_BIND, NETWORK_IPV6 }: Pick<Settings, 'WHOST' | 'NGINX_BIND' | 'NETWORK_IPV6'>,
  { records, reachable }: Ipv6Facts,
): Finding[] {
  const one = NGINX_BIND === undefined && !NETWORK_IPV6 && reachable
  const alike = one
    ? [
        warning(
          'nginx listens on IPv6 too, but all visitors that come by it have one address there, and share its limits',
          'set NETWORK_IPV6=true (.env.example says how)',
        ),
      ]
    : []
  if (records === undefined)
    return [...alike, unknown(`no server of names told whether ${site} has an address of IPv6`)]
  const silent = records.flatMap(({ address, trouble }) =>
    trouble === undefined
      ? []
      : [
          warning(
            `${site} has the address ${address} (an AAAA record), and nobody can connect to it: ${trouble}. ` +
              'Visitors with IPv6 wait for it in vain',
            LISTEN,
          ),
        ],
  )
  if (records.length === 0) return alike.length > 0 ? alike : [good(`${site} has no address of IPv6`)]
  return unless(`${site} can be reached at ${records.map(({ address }) => address).join(', ')}`, [...alike, ...silent])
}

/**
 * Whether nginx can listen on IPv6 with each visitor's own address: the machine has one that the world could know, and
 * the engine gives networks theirs.
 */
export async function canServeIpv6() {
  if (!hasPublicIpv6()) return false
  const network = 'avril-ipv6-trial'
  const { code } = await attempt(docker('network', 'create', '--ipv6', network))
  if (code === 0) await attempt(docker('network', 'rm', network))
  return code === 0
}
