// Addresses and networks, of IPv4 and IPv6, in the form in which nginx compares them.
import { networkInterfaces } from 'node:os'
import { isIPv4, isIPv6 } from 'node:net'
import { usage } from './errors.ts'

/** An address, or all of a network. */
export interface Network {
  /** as it was typed */
  text: string
  /** of an address: 4 or 16 */
  bytes: number
  /** what its addresses begin with: 0 and 1 */
  bits: string
}

const bitsOf = (numbers: number[], width: number) => numbers.map(it => it.toString(2).padStart(width, '0')).join('')
const bits4 = (text: string) => bitsOf(text.split('.').map(Number), 8)

const bits6 = (text: string) => {
  // URL writes an address in one way, with at most one "::" and no dots.
  const [head = '', tail = ''] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string) => part.split(':').flatMap(it => (it === '' ? [] : [parseInt(it, 16)]))
  const [before, after] = [groups(head), groups(tail)]
  return bitsOf([...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after], 16)
}

/** An address of IPv4 that is written as one of IPv6. */
const MAPPED = `${'0'.repeat(80)}${'1'.repeat(16)}`

const networkIn = (text: string): Network | undefined => {
  const [, address = '', length] = /^([\da-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  if (!isIPv4(address) && !isIPv6(address)) return undefined
  const all = isIPv4(address) ? bits4(address) : bits6(address)
  const most = Number(length ?? all.length)
  if (most > all.length) return undefined
  const bits = all.slice(0, most)
  if (all.length === 128 && bits.startsWith(MAPPED)) return { text, bytes: 4, bits: bits.slice(MAPPED.length) }
  return { text, bytes: all.length / 8, bits }
}

/** Reads "192.0.2.7", "192.0.2.0/24", "2001:db8::/32". Throws a Failure (64) for another text. */
export function readNetwork(text: string): Network {
  const network = networkIn(text)
  if (network) return network
  throw usage(
    `${JSON.stringify(text)} is neither an address nor a network`,
    'such as 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or 2001:db8::/32; https://api.ipify.org shows your own',
  )
}

/** Whether an address is in a network. */
export function isIn(address: string, { bytes, bits }: Network) {
  const it = networkIn(address)
  return it !== undefined && it.bytes === bytes && it.bits.startsWith(bits)
}

/** Whether two networks have an address in common. */
export function overlaps(one: Network, other: Network) {
  return one.bytes === other.bytes && (one.bits.startsWith(other.bits) || other.bits.startsWith(one.bits))
}

/** An address of this machine, and the network that it is in (10.0.0.5/24). */
export interface OwnNetwork {
  address: string
  network: string
}

/** Those of IPv4, without the loopback's. */
export function ownNetworks(): OwnNetwork[] {
  const found = Object.values(networkInterfaces()).flatMap(it => it ?? [])
  return found.flatMap(({ address, cidr, family, internal }) =>
    family === 'IPv4' && !internal ? [{ address, network: cidr ?? address }] : [],
  )
}

// Unique local addresses (fc00::/7) and those of one link (fe80::/10) are known to nobody outside.
const isPublic = ({ family, internal, address }: { family: string; internal: boolean; address: string }) =>
  family === 'IPv6' && !internal && !/^f[cde]/i.test(address)

/** Whether this machine has an address of IPv6 that the world could know. */
export function hasPublicIpv6() {
  return Object.values(networkInterfaces()).some(addresses => addresses?.some(isPublic))
}
