// Argument lists for the OpenSSH client, and what its errors mean to people. It runs with the user's own configuration,
// agent, jump hosts and known hosts.
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure } from '../system/errors.ts'
import { quoteWord } from '../system/shell.ts'

/** A host for ssh: an entry of ~/.ssh/config, a name or an address, with or without user@. Never an option. */
export const HOST = /^[A-Za-z0-9_][A-Za-z0-9_.@:%[\]-]{0,254}$/

/**
 * The socket by which several calls to a host, as it was typed, share one connection. Throws a Failure when its folder
 * belongs to somebody else.
 */
const socketFor = (host: string) => {
  const uid = process.getuid?.() ?? 0
  const folder = join(process.env.XDG_RUNTIME_DIR ?? '/tmp', `avril-ssh-${uid}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder)
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0)
    return join(folder, createHash('sha256').update(host).digest('hex').slice(0, 24))
  throw new Failure(`${folder} is not a folder of this user alone, so no ssh connection can be shared through it`, {
    hint: 'who made it? Remove it, then run this again',
  })
}

const CONNECTION = [
  'ConnectTimeout=15',
  'ServerAliveInterval=10',
  'ServerAliveCountMax=3',
  'RemoteCommand=none',
  'ControlMaster=auto',
  'ControlPersist=30',
]

interface SshOptions {
  /** give the other side a terminal: only for what a person talks to */
  terminal?: boolean
  /** nobody is there to be asked for a passphrase or about a host key */
  batch?: boolean
  /** what is carried from here to there meanwhile, as -L has it */
  forward?: string
}

/**
 * Runs the text of a shell script on a host, by sh, with these words as its arguments: each arrives as it is, whatever
 * is in it.
 */
export function ssh(
  host: string,
  { terminal = false, batch = false, forward }: SshOptions,
  script: string,
  ...words: string[]
) {
  const options = [...CONNECTION, `ControlPath=${socketFor(host)}`, `BatchMode=${batch ? 'yes' : 'no'}`].flatMap(
    option => ['-o', option],
  )
  // With a terminal ssh says at the end that the connection was closed; nobody asked.
  return [
    'ssh',
    ...options,
    ...(terminal ? ['-t', '-o', 'LogLevel=ERROR'] : ['-T']),
    ...(forward === undefined ? [] : ['-o', 'ExitOnForwardFailure=yes', '-L', forward]),
    '--',
    host,
    ['sh', '-c', script, 'sh', ...words].map(quoteWord).join(' '),
  ]
}

/** ssh's own exit code when it has not come through, or when the connection is lost. */
export const NO_CONNECTION = 255

const REASONS: [RegExp, why: string, hint: (host: string) => string][] = [
  [
    /IDENTIFICATION HAS CHANGED|host key for .* has changed/i,
    'its host key is another one than known_hosts has',
    host =>
      `was the server set up anew? Ask who did it for the new key's fingerprint; only then: ssh-keygen -R ` +
      `${host.replace(/^.*@/, '')}. Otherwise somebody else may be answering`,
  ],
  [
    /Host key verification failed|no .* host key is known/i,
    'its host key is not known here',
    host =>
      `connect once by hand (ssh ${host}), and compare the fingerprint with that of the server before you say yes`,
  ],
  [
    /Permission denied|Too many authentication failures/,
    'it refuses the key',
    host => `is your key loaded (ssh-add -l), and in ~/.ssh/authorized_keys there? ssh ${host} shows more`,
  ],
  [
    /Could not resolve hostname/,
    'there is no host of this name',
    () => 'is it written as in ~/.ssh/config, and is the network there?',
  ],
  [
    /Connection refused/,
    'nothing answers on its ssh port',
    () => 'is the server running, and is the port right (~/.ssh/config)?',
  ],
  [
    /timed out|No route to host|Network is unreachable/,
    'it does not answer (time-out)',
    () => 'is the server running, and the network there (VPN)?',
  ],
]

/** Why a host cannot be reached, from what ssh wrote: a Failure with 69. */
export function unreachable(host: string, stderr: string) {
  const [, why, hint] = REASONS.find(([pattern]) => pattern.test(stderr)) ?? []
  const said = stderr.trim().split('\n').at(-1)!
  return new Failure(`${host} cannot be reached: ${why ?? 'ssh failed'} (${said})`, {
    exitCode: EXIT.unreachable,
    hint: hint?.(host) ?? `ssh ${host} shows more`,
  })
}
