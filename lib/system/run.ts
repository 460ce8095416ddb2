// The one place where other programs are started. Commands are lists of words; no shell string is ever built from them
// by hand.
// Long, since every way to start a program is here: nobody else ends one, feeds it, or leaves it behind.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { $, type ProcessOutput, which } from 'zx/core'
import { EXIT, Failure } from './errors.ts'
import { say } from './progress.ts'
import { checkInterruption, interruption, onAbort, onInterruption } from './signals.ts'

export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  /** the engine that docker is to reach (ssh://host, tcp://…); without it that of this machine */
  engine?: string | undefined
  /** text for its standard input; without it there is none */
  input?: string
  /** an open file (its descriptor) that it reads as its standard input */
  from?: number
  /**
   * an open file (its descriptor) that it writes its standard output to: large data never passes through this process
   */
  to?: number
  /** what it is, for the person who reads the error: "the build"; otherwise the command's own words */
  what?: string
  /** what to do when it fails, for the same person */
  hint?: string
  /** the exit code of the Failure when it fails (EXIT); otherwise 1 */
  exitCode?: number
  /** lines of its output that nobody needs to see */
  hide?: RegExp
  /** ends it early, also when it was aborted before */
  signal?: AbortSignal
  /** bytes of output that it may give; one that gives more is ended, as by a signal */
  most?: number
  /** it may ask the person at the terminal (ssh for a passphrase), so it stays within reach of that */
  asks?: boolean
}

/** How a program ended. */
export interface Outcome {
  code: number
  stdout: string
  stderr: string
}

export function isInstalled(program: string) {
  return which.sync(program, { nothrow: true }) !== null
}

const reaching = (engine: string | undefined, [program = '', ...words]: string[]) =>
  engine === undefined || program !== 'docker' ? [program, ...words] : [program, '--host', engine, ...words]

// A session of its own keeps the terminal's Ctrl-C from reaching it: this program decides who is told.
const start = (words: string[], { cwd, env, engine, input, from, to, asks = false }: RunOptions, joined = false) => {
  const command = reaching(engine, words)
  const shell = $({
    detached: !asks,
    nothrow: true,
    quiet: true,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    ...(input === undefined ? { stdio: [from ?? 'ignore', to ?? 'pipe', 'pipe'] as const } : { input }),
  })
  if (asks) return shell`exec ${command}`
  const child = joined ? shell`${command} 2>&1` : shell`${command}`
  // It may end before it has read all of its input: its exit code tells.
  if (input !== undefined) child.stdin.on('error', () => {})
  return child
}

/** Of what a program says on its standard error, where that is not kept as a whole: characters. */
const LAST_WORDS = 10_000

/**
 * In milliseconds: what has not ended so long after SIGTERM is killed, so that it cannot keep this program from ending.
 */
const GRACE = 4000

const signal = (pid: number, name: NodeJS.Signals) => {
  // What asks has no group of its own.
  for (const target of [-pid, pid])
    try {
      process.kill(target, name)
      return
    } catch {
      // it has ended already
    }
}

// Who reads it finds its end.
const leave = (stream: Readable | null) => {
  stream?.once('end', () => stream.destroy())
  stream?.push(null)
}

/** Ends a running program, and whatever it has started in its group; await the program itself to know that it has. */
const end = ({ child, pid, stage }: ReturnType<typeof start>, patience = 0) => {
  if (!child || pid === undefined || stage !== 'running') return
  const timers = [
    setTimeout(() => signal(pid, 'SIGTERM'), patience),
    setTimeout(() => signal(pid, 'SIGKILL'), patience + GRACE),
    // What has left its group may hold its output for ever.
    setTimeout(() => [child.stdout, child.stderr].forEach(leave), patience + GRACE + 1000),
  ]
  // Not at the end of the first of the group: the others may live on.
  child.once('close', () => timers.forEach(clearTimeout))
}

/**
 * Calls back when a command must end early: at a signal, or when that of its options is aborted. `check` throws when a
 * signal has come: to be asked when the command has ended. What another work shields by then does not make an end by
 * the signal one of its own.
 */
export function onEnd({ signal }: Pick<RunOptions, 'signal'>, callback: () => void) {
  let interrupted = false
  const interrupt = () => {
    interrupted = true
    callback()
  }
  const listeners = [onInterruption(interrupt), ...(signal ? [onAbort(signal, callback)] : [])]
  return {
    forget: () => listeners.forEach(forget => forget()),
    check: () => {
      if (interrupted) throw interruption.reason as Failure
      checkInterruption()
    },
  }
}

export function outcomeOf({ exitCode, signal, stdout, stderr }: ProcessOutput): Outcome {
  return {
    code: exitCode ?? (signal ? 128 + constants.signals[signal] : 1),
    stdout,
    stderr,
  }
}

/** How `docker` and others end at SIGTERM. */
export const TERMINATED = 128 + constants.signals.SIGTERM

/** Runs a command to its end, whatever its exit code; its output is given back. Throws only when a signal came. */
export async function attempt(command: string[], options: RunOptions = {}): Promise<Outcome> {
  checkInterruption()
  if (options.signal?.aborted) return { code: TERMINATED, stdout: '', stderr: '' }
  const child = start(command, options)
  let stopped = false
  const stop = () => {
    if (!stopped) end(child)
    stopped = true
  }
  const { forget, check } = onEnd(options, stop)
  let rest = options.most ?? Infinity
  const count = (chunk: Buffer) => void ((rest -= chunk.length) < 0 && stop())
  if (rest < Infinity) for (const stream of [child.stdout, child.stderr]) stream.on('data', count)
  try {
    const outcome = outcomeOf(await child)
    check()
    // `docker exec` that is ended so says 0.
    return stopped && outcome.code === 0 ? { ...outcome, code: TERMINATED } : outcome
  } finally {
    forget()
  }
}

/** A line in which the server says why. pg_restore and psql write the whole command after it, however long that is. */
export const SERVER_ERROR = /\b(?:ERROR|FATAL): /

const lastWords = (lines: string[]) => {
  const [last, error] = [lines.slice(-8), lines.find(line => SERVER_ERROR.test(line))]
  return error === undefined || last.includes(error) ? last : [error, '…', ...last.slice(-6)]
}

/** The Failure for a command that did not end with 0: what failed, and the last lines that it wrote. */
export function failureOf(
  command: string[],
  outcome: Outcome,
  { what, hint, exitCode = EXIT.failed }: RunOptions = {},
) {
  // Others end with 127 too: a shell in a container or at the other end of ssh.
  if (outcome.code === 127 && command[0] !== undefined && !isInstalled(command[0]))
    return new Failure(`${command[0]} is not installed here`, { hint, exitCode: EXIT.unreachable })
  const said = (outcome.stderr.trim() || outcome.stdout.trim()).split('\n').filter(line => line.trim() !== '')
  const name =
    what ??
    command
      .filter(word => !word.startsWith('-'))
      .slice(0, 3)
      .join(' ')
  return new Failure([`${name} failed (exit code ${outcome.code})`, ...lastWords(said)].join('\n  '), {
    hint,
    exitCode,
  })
}

/** Runs a command and gives its stdout without the last newline. Throws a Failure when it does not end with 0. */
export async function capture(command: string[], options: RunOptions = {}) {
  const outcome = await attempt(command, options)
  if (outcome.code !== 0) throw failureOf(command, outcome, options)
  return outcome.stdout.replace(/\n$/, '')
}

/** A running command whose lines are read one by one. */
export interface Stream {
  lines: AsyncGenerator<string>
  /** Ends it; safe to call twice. */
  stop: () => void
}

/** Starts a command that goes on until it is stopped (events, logs); stderr lines come too, unless told otherwise. */
export function follow(command: string[], options: RunOptions & { onlyOutput?: boolean } = {}): Stream {
  const child = start(command, options, options.onlyOutput !== true)
  const stop = () => end(child)
  const { forget } = onEnd(options, stop)
  const read = async function* () {
    try {
      for await (const line of child) yield line
    } finally {
      forget()
      stop()
    }
  }
  return { lines: read(), stop }
}

/**
 * The output of a command, as it comes: large data, which is never kept here. Throws a Failure when it does not end
 * with 0, and that of a signal; who stops reading ends it.
 */
export async function* outputOf(command: string[], options: RunOptions = {}): AsyncGenerator<Uint8Array> {
  checkInterruption()
  const [program = '', ...words] = reaching(options.engine, command)
  const child = spawn(program, words, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = new Promise<number>(resolve => {
    child.once('error', () => resolve(127))
    child.once('close', (code, name) => resolve(code ?? 128 + (name ? constants.signals[name] : 1)))
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr = `${stderr}${chunk.toString()}`.slice(-LAST_WORDS)))
  const stop = () => void (child.pid !== undefined && signal(child.pid, 'SIGTERM'))
  const { forget, check } = onEnd(options, stop)
  let done = false
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>
    const code = await closed
    done = true
    check()
    if (code !== 0) throw failureOf(command, { code, stdout: '', stderr }, options)
  } finally {
    forget()
    if (!done) stop()
  }
}

/** Runs a command, shows each line as it comes, and gives how it ended. Throws only when a signal came. */
export async function showAttempt(command: string[], options: RunOptions = {}): Promise<Outcome> {
  checkInterruption()
  const child = start(command, options, true)
  const { forget, check } = onEnd(options, () => end(child))
  try {
    for await (const line of child) if (line.trim() !== '' && !options.hide?.test(line)) say.detail(line)
    const outcome = outcomeOf(await child)
    check()
    return outcome
  } finally {
    forget()
  }
}

/** The same. Throws a Failure with the last lines when it does not end with 0. */
export async function show(command: string[], options: RunOptions = {}) {
  const outcome = await showAttempt(command, options)
  if (outcome.code !== 0) throw failureOf(command, outcome, options)
}

/** Starts a command that nobody waits for: neither how it ends nor that it is missing changes anything here. */
export function launch([program = '', ...words]: string[]) {
  try {
    spawn(program, words, { stdio: 'ignore', detached: true })
      .on('error', () => {})
      .unref()
  } catch {
    // this very moment the machine starts no more programs
  }
}

/** Starts a command that is spoken with by its standard input and output. */
export function converse(command: string[], engine?: string) {
  const child = $({
    detached: true,
    nothrow: true,
    quiet: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })`${reaching(engine, command)}`
  // It may end while something is written to it, or its standard input is being closed.
  child.stdin.on('error', () => {})
  return {
    child,
    /** Closes its standard input, and tells it to end when it has not after so many milliseconds. */
    letGo: (patience: number) => {
      child.stdin.end()
      end(child, patience)
    },
    /** Whether this process waits for it. */
    keepAlive: (wanted: boolean) => {
      const parts = [child.child, child.stdin, child.stdout, child.stderr] as unknown as {
        ref: () => void
        unref: () => void
      }[]
      for (const part of parts) part[wanted ? 'ref' : 'unref']()
    },
  }
}

/** What a held command has: an end of its standard input, then so many milliseconds until it is told to end. */
const RELEASE = 120_000

/**
 * Starts a command that prints a line (given as stdout) when it is ready and then lives until its standard input is
 * closed: when `release` is called, or when this process ends in any way. Without `release` it ended before it was
 * ready. A signal that comes before, or that of the options, closes its standard input, and `patience` milliseconds
 * later tells it to end; it has ended when that is thrown.
 */
export async function hold(
  command: string[],
  { patience = 0, engine, ...early }: { patience?: number; engine?: string | undefined; signal?: AbortSignal } = {},
): Promise<Outcome & { release?: () => Promise<void> }> {
  checkInterruption()
  const { child, letGo, keepAlive } = converse(command, engine)
  const { forget, check } = onEnd(early, () => letGo(patience))
  const ready = new Promise<string | undefined>(resolve => {
    child.stdout.once('data', chunk => resolve(String(chunk)))
    child.then(
      () => resolve(undefined),
      () => resolve(undefined),
    )
  })
  const line = await ready
  forget()
  try {
    check()
  } catch (error) {
    // It may have got ready all the same, and would live on.
    letGo(patience)
    await child
    throw error
  }
  if (line === undefined) return outcomeOf(await child)
  // Whatever forgets to release it ends it by ending.
  keepAlive(false)
  const release = async () => {
    keepAlive(true)
    letGo(RELEASE)
    await child
  }
  return { code: 0, stdout: line.trim(), stderr: '', release }
}
