// Who is behind this process, and where from: what the kernel and programs of root's know. A variable of the
// environment proves nothing, since anybody can set it.
import { readlinkSync } from 'node:fs'
import { userInfo } from 'node:os'
import { isatty } from 'node:tty'
import { openKernelFacts, UNSET } from './kernel_facts.ts'

export interface Person {
  account: string
  /** the address of an ssh client; undefined when it is none, or is not known */
  address: string | undefined
  /** that address, cron, a terminal, "no terminal", or what is not known, in words */
  from: string
}

const SSH = /^(sshd|sshd-session|dropbear)$/
const CRON = /^(cron|crond)$/

const terminal = () => {
  const descriptor = [0, 1, 2].find(isatty)
  return descriptor === undefined ? 'no terminal' : readlinkSync(`/proc/self/fd/${descriptor}`)
}

/** The person of a process of the machine below `root`. */
export function personOf(pid: number | 'self', root = '/'): Person {
  const { lineage, login, nameOf, peerOf, remoteHost } = openKernelFacts(root)
  const { found, whole } = lineage(String(pid))
  // Without a login uid it is the first who was no root: sudo and su begin with the person's own shell.
  const uid = login === UNSET ? (found.findLast(it => it.uid !== 0) ?? found[0])?.uid : login
  const account = uid === undefined ? userInfo().username : nameOf(uid)
  // Not by its name alone: everybody can call a program of their own sshd.
  const gate = found.find(it => it.uid === 0 && (SSH.test(it.name) || CRON.test(it.name)))
  if (gate && CRON.test(gate.name)) return { account, address: undefined, from: 'cron' }
  const address = (gate && peerOf(gate.pid)) || remoteHost()
  if (address !== undefined || gate)
    return { account, address, from: address ?? 'ssh, from an address that is not known' }
  return { account, address, from: whole ? terminal() : 'unknown' }
}

let known: Person | undefined

/** The person behind this process, also through sudo and ssh: as it is at first, since who has started it may end. */
export function person() {
  return (known ??= personOf('self'))
}

/** The same in a few words: the account, and the address of an ssh client. */
export function who() {
  const { account, address } = person()
  return address === undefined ? account : `${account}@${address}`
}
