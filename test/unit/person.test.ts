import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { personOf } from '../../lib/system/identity.ts'
import { addressOf } from '../../lib/system/kernel_facts.ts'

const UNSET = '4294967295'
const PASSWD =
  'root:x:0:0:root:/root:/bin/bash\ndupont:x:1001:1001::/home/dupont:/bin/bash\n' +
  'avril:x:1002:1002::/home/docker:/bin/bash\n'

interface Machine {
  /** from the script upwards: name and uid of each process; one without a uid cannot be looked at */
  lineage: [name: string, uid?: number][]
  loginuid?: string
  /** sockets of the process of this name, as inode → the line of the kernel's table */
  sockets?: { of: string; lines: string[]; open: string[] }
  session?: string
}

const line = (inode: string, remote: string, state = '01') =>
  `   0: 0100007F:0016 ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 ` +
  '0000000000000000'
const CLIENT = '077100CB:C350'
const MONITOR = ['sshd', 0] as [string, number]
const LISTENER = ['sshd', 0] as [string, number]
const INIT = ['systemd', 0] as [string, number]
const SOCKETS = {
  of: 'sshd',
  lines: [line('7', '00000000:0000', '0A'), line('9', '0200000A:1538'), line('8', CLIENT)],
  open: ['7', '8', '9'],
}

/** The person of the first process of such a machine. */
const personHere = ({ lineage, loginuid, sockets, session }: Machine) => {
  const root = mkdtempSync(join(tmpdir(), 'avril-person-'))
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  try {
    write('etc/passwd', PASSWD)
    if (loginuid !== undefined) write('proc/self/loginuid', loginuid)
    write('proc/self/sessionid', session === undefined ? UNSET : '5')
    if (session !== undefined) write('run/systemd/sessions/5', session)
    for (const [index, [name, uid]] of lineage.entries()) {
      const pid = 100 - index
      const above = index + 1 === lineage.length ? 0 : pid - 1
      if (uid !== undefined)
        write(
          `proc/${pid}/status`,
          `Name:\t${name}\nUmask:\t0022\nPid:\t${pid}\nPPid:\t${above}\nUid:\t${uid}\t0\t0\t0\n`,
        )
      if (name !== sockets?.of) continue
      write(`proc/${pid}/net/tcp`, `  sl  local_address\n${sockets.lines.join('\n')}\n`)
      write(`proc/${pid}/fd/0`, '')
      for (const [at, inode] of sockets.open.entries())
        symlinkSync(`socket:[${inode}]`, join(root, `proc/${pid}/fd/${at + 3}`))
    }
    return personOf(100, root)
  } finally {
    rmSync(root, { recursive: true })
  }
}

const UNKNOWN_ADDRESS = 'ssh, from an address that is not known'

// what it is; the machine; who, and from where
const PEOPLE: [what: string, machine: Machine, account: string, from: string | RegExp][] = [
  [
    'sudo over ssh',
    {
      lineage: [['node', 0], ['sudo', 0], ['bash', 1001], ['sshd', 1001], MONITOR, LISTENER, INIT],
      loginuid: '1001',
      sockets: SOCKETS,
    },
    'dupont',
    '203.0.113.7',
  ],
  [
    'sudo over ssh, without a login uid',
    {
      lineage: [['node', 0], ['sudo', 0], ['bash', 1001], ['sshd', 1001], MONITOR, LISTENER, INIT],
      loginuid: UNSET,
      sockets: SOCKETS,
    },
    'dupont',
    '203.0.113.7',
  ],
  [
    'sudo to another account',
    { lineage: [['node', 1002], ['sudo', 0], ['bash', 1001], MONITOR, INIT], sockets: SOCKETS },
    'dupont',
    '203.0.113.7',
  ],
  [
    'the login uid says more than the processes',
    { lineage: [['node', 1002], INIT], loginuid: '1001' },
    'dupont',
    /^\/dev\/|^no terminal$/,
  ],
  [
    'a login uid without a name',
    { lineage: [['node', 0], INIT], loginuid: '2000' },
    'uid 2000',
    /^\/dev\/|^no terminal$/,
  ],
  [
    'a newer sshd',
    {
      lineage: [['node', 0], ['bash', 0], ['sshd-session', 0], LISTENER, INIT],
      sockets: { ...SOCKETS, of: 'sshd-session' },
    },
    'root',
    '203.0.113.7',
  ],
  [
    'who may not look at the sockets, and logind knows',
    {
      lineage: [['node', 1001], ['bash', 1001], MONITOR, INIT],
      session: 'UID=1001\nREMOTE=1\nREMOTE_HOST=203.0.113.9\n',
    },
    'dupont',
    '203.0.113.9',
  ],
  [
    'who may not look at the sockets, and nobody knows',
    { lineage: [['node', 1001], ['bash', 1001], MONITOR, INIT] },
    'dupont',
    UNKNOWN_ADDRESS,
  ],
  [
    'a screen that outlives its login',
    { lineage: [['node', 1001], ['bash', 1001], ['tmux: server', 1001], INIT], session: 'REMOTE_HOST=203.0.113.9\n' },
    'dupont',
    '203.0.113.9',
  ],
  [
    'cron',
    { lineage: [['node', 1002], ['sh', 1002], ['cron', 0], ['cron', 0], INIT], loginuid: '1002' },
    'avril',
    'cron',
  ],
  [
    'cron that was started over ssh',
    { lineage: [['node', 0], ['sh', 0], ['crond', 0], ['bash', 0], MONITOR, INIT], sockets: SOCKETS },
    'root',
    'cron',
  ],
  [
    "a program of a user's own called cron",
    { lineage: [['node', 1001], ['cron', 1001], ['bash', 1001], MONITOR, INIT], sockets: SOCKETS },
    'dupont',
    '203.0.113.7',
  ],
  [
    "a program of a user's own called sshd",
    {
      lineage: [['node', 1001], ['sshd', 1001], ['bash', 1001], INIT],
      sockets: { ...SOCKETS, lines: [line('8', '0100007F:0001')] },
    },
    'dupont',
    /^\/dev\/|^no terminal$/,
  ],
  ['other processes cannot be looked at', { lineage: [['node', 1001], ['bash']] }, 'dupont', 'unknown'],
  ['no process can be looked at', { lineage: [['node']], loginuid: '1001' }, 'dupont', 'unknown'],
]

for (const [what, machine, account, from] of PEOPLE)
  void test(`who it is, and from where: ${what}`, () => {
    const found = personHere(machine)
    assert.equal(found.account, account)
    if (typeof from === 'string') assert.equal(found.from, from)
    else assert.match(found.from, from)
  })

// as the kernel's tables have it on a machine like this, and as people write it
const ADDRESSES: [hex: string, address: string][] = [
  ['077100CB', '203.0.113.7'],
  ['0000000000000000FFFF0000077100CB', '203.0.113.7'],
  ['B80D0120000000000000000001000000', '2001:db8::1'],
  ['00000000000000000000000001000000', '::1'],
]

for (const [hex, address] of ADDRESSES) void test(`${hex} is ${address}`, () => assert.equal(addressOf(hex), address))
