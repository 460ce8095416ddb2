/** One exit code a cause (sysexits.h). */
export const EXIT = {
  failed: 1,
  usage: 64,
  /** a dump or a backup set that is not what it should be */
  data: 65,
  unreachable: 69,
  /** a folder cannot be written to */
  cannotWrite: 73,
  /** there is not enough space */
  noSpace: 74,
  locked: 75,
  /** the data are back, but not each index, view or check */
  incomplete: 76,
  /** a hook of the team's has said no */
  refused: 77,
  config: 78,
} as const

interface FailureDetails {
  /** what to do next */
  hint?: string | undefined
  exitCode?: number
  cause?: unknown
}

/**
 * Something foreseeable went wrong: a sentence on what and why, a hint on what to do, an exit code that tells the
 * cause.
 */
export class Failure extends Error {
  readonly hint: string | undefined
  readonly exitCode: number

  constructor(message: string, details: FailureDetails = {}) {
    super(message, { cause: details.cause })
    this.name = 'Failure'
    this.hint = details.hint
    this.exitCode = details.exitCode ?? EXIT.failed
  }
}

/** A Failure when the command line makes no sense. */
export function usage(message: string, hint = 'see --help') {
  return new Failure(message, { hint, exitCode: EXIT.usage })
}

/** A Failure when a setting or a file of the stack makes no sense. */
export function badConfig(message: string, hint?: string) {
  return new Failure(message, { hint, exitCode: EXIT.config })
}

export function messageOf(error: unknown) {
  return error instanceof Error ? error.message : String(error)
}

// What the operating system refuses, by its code: what to do next, and the exit code if it is not 1.
const REFUSALS: Record<string, [hint: string, exitCode?: number]> = {
  ENOSPC: ['the disk is full: make room (df -h, and df -i for a disk of many small files)', EXIT.noSpace],
  EDQUOT: ['the quota of this user is used up: make room, or have it raised (quota)', EXIT.noSpace],
  EFBIG: ['the file is larger than this file system or a limit of this user allows (ulimit -f)'],
  EACCES: ['may this user do that (ls -ld, id)? Is it the one that runs the scripts on this server (sudo)?'],
  EPERM: ['may this user do that (ls -ld, lsattr)? Is it the one that runs the scripts on this server (sudo)?'],
  EROFS: [
    'the file system is read-only: is it mounted so (findmnt), or has its disk a fault (dmesg)?',
    EXIT.cannotWrite,
  ],
  EIO: ['the disk has a fault: look at dmesg before anything else is written to it'],
  ENOENT: ['is its disk mounted (findmnt), and has somebody moved or removed it?'],
  ENOTDIR: ['a part of that path is not a folder: what is there instead (ls -l)?'],
  EISDIR: ['a folder is where a file is wanted: what is in it (ls -l)?'],
  EEXIST: ['something is in its place already: what is it (ls -l)?'],
  ENOTEMPTY: ['something is in that folder: what is it (ls -la)?'],
  EXDEV: ['the two places are on different disks (findmnt), and must be on one'],
  EBUSY: ['somebody uses it (fuser -v), or it is where a disk is mounted (findmnt)'],
  ELOOP: ['links lead in a circle, or one is where none is allowed (ls -l)'],
  ENAMETOOLONG: ['a name in that path is too long for this file system'],
  ESTALE: ['the network disk has lost its connection: mount it again'],
  ENOTCONN: ['the network disk has lost its connection: mount it again'],
  ENOMEM: ['the memory is used up (free -h): what takes it (ps aux --sort -rss)?'],
  EMFILE: ['too many files are open: raise the limit (ulimit -n)'],
  ENFILE: ['too many files are open on this machine: raise the limit (sysctl fs.file-max)'],
  EAGAIN: ['the machine starts no more processes for this user (ulimit -u, free -h)'],
  ENOTFOUND: ['is the network there, and is the name of the host right?', EXIT.unreachable],
  EAI_AGAIN: ['is the network there, and does its DNS answer?', EXIT.unreachable],
  ECONNREFUSED: ['nothing answers there: is it running, and is the port right?', EXIT.unreachable],
  ECONNRESET: ['the other side has cut the connection: does it run? Then run this again', EXIT.unreachable],
  ETIMEDOUT: ['it does not answer: is the network there, and is it running?', EXIT.unreachable],
  EHOSTUNREACH: ['is the network there (a VPN, a firewall)?', EXIT.unreachable],
  ENETUNREACH: ['is the network there (a VPN, a firewall)?', EXIT.unreachable],
}

const isRefusal = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'syscall' in error

/**
 * What a Failure for this cause says besides its message: what to do when the operating system has refused something,
 * and what a Failure said itself.
 */
export function detailsOf(cause: unknown): FailureDetails {
  if (cause instanceof Failure) return { hint: cause.hint, exitCode: cause.exitCode, cause }
  const [hint, exitCode = EXIT.failed] = (isRefusal(cause) && REFUSALS[cause.code ?? '']) || []
  return { hint, exitCode, cause }
}

/**
 * An error that is foreseeable as a Failure: what the operating system refuses is no bug, wherever it happens.
 * Undefined for any other.
 */
export function failureFrom(error: unknown) {
  if (error instanceof Failure) return error
  return isRefusal(error) ? new Failure(error.message, detailsOf(error)) : undefined
}
