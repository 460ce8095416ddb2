// What the kernel and programs of root's know of processes, logins and connections.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

interface Process {
  pid: number
  name: string
  uid: number
}

/** What the kernel gives for "not set". */
export const UNSET = 4_294_967_295

/** What is read below `root`. One function, since all of it is. */
export function openKernelFacts(root: string) {
  const ifThere = <T>(read: (path: string) => T, none: T, path: string[]) => {
    try {
      return read(join(root, ...path))
    } catch {
      // It has ended, belongs to somebody else, or this kernel knows nothing of the kind.
      return none
    }
  }
  const read = (...path: string[]) => ifThere(file => readFileSync(file, 'utf8'), '', path)
  const number = (...path: string[]) => Number(read(...path) || UNSET)

  /** A process and all above it. When one cannot be looked at, those above it are not known. */
  const lineage = (pid: string) => {
    const found: Process[] = []
    for (let next = pid; next !== '0';) {
      const status = read('proc', next, 'status')
      const [, name, above, uid] = /^Name:\t([^\n]*).*^PPid:\t(\d+)$.*^Uid:\t(\d+)/ms.exec(status) ?? []
      if (name === undefined || above === undefined) return { found, whole: false }
      found.push({ pid: Number(next), name, uid: Number(uid) })
      next = above
    }
    return { found, whole: true }
  }

  const nameOf = (uid: number) =>
    new RegExp(`^([^:]+):[^:]*:${uid}:`, 'm').exec(read('etc', 'passwd'))?.[1] ?? `uid ${uid}`

  /** The inodes of the sockets that a process has open, the first opened first; only root may look. */
  const socketsOf = (pid: number) => {
    const folder = ['proc', String(pid), 'fd']
    const descriptors = ifThere(
      it =>
        readdirSync(it)
          .map(Number)
          .toSorted((a, b) => a - b),
      [],
      folder,
    )
    const links = descriptors.map(descriptor => ifThere(it => readlinkSync(it), '', [...folder, String(descriptor)]))
    return links.flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
  }

  /** The other end of a process's first connection over the network; what it forwards was opened later. */
  const peerOf = (pid: number) => {
    const lines = ['tcp', 'tcp6']
      .flatMap(table => read('proc', String(pid), 'net', table).split('\n'))
      .map(line => line.trim().split(/\s+/))
    const established = new Map(lines.filter(fields => fields[3] === '01').map(fields => [fields[9], fields[2]]))
    const remote = socketsOf(pid)
      .map(inode => established.get(inode))
      .find(Boolean)
    return remote && addressOf(remote.split(':')[0]!)
  }

  /**
   * Whence the session of the login came, as systemd-logind was told; also for who may not look at sshd's sockets, and
   * for a screen that outlives its login.
   */
  const remoteHost = () => {
    const session = number('proc', 'self', 'sessionid')
    return session === UNSET
      ? undefined
      : /^REMOTE_HOST=(\S+)$/m.exec(read('run', 'systemd', 'sessions', String(session)))?.[1]
  }

  return { lineage, login: number('proc', 'self', 'loginuid'), nameOf, peerOf, remoteHost }
}

/** An address as the kernel's tables have it: in words of 32 bits, each with its bytes in the order of this machine. */
export function addressOf(hex: string) {
  const bytes = Buffer.from(hex, 'hex').swap32()
  const text = bytes.toString('hex')
  if (bytes.length === 4 || text.startsWith('00000000000000000000ffff')) return bytes.subarray(-4).join('.')
  return new URL(`http://[${(text.match(/.{4}/g) ?? []).join(':')}]`).hostname.slice(1, -1)
}
