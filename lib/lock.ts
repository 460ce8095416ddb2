// One at a time. The kernel holds a lock (flock), so it ends with its owner, however that ends: none is ever left behind.
import { EXIT, Failure } from './errors.ts'
import { stateFile } from './files.ts'
import { hold } from './run.ts'
import { say } from './say.ts'

/**
 * Takes a lock of the stack; gives what releases it. With wait it queues until the lock is free. `holder` says who has it, for the others.
 * Throws a Failure with 75 that names the holder.
 */
export const takeLock = async (name: string, holder: () => string, wait: boolean) => {
  // sh tells through its output that the lock is held; then cat waits until this process closes the pipe, or ends in any way.
  const command = (...flags: string[]) => ['flock', ...flags, '--conflict-exit-code', String(EXIT.locked), stateFile(name), 'sh', '-c', 'echo; exec cat']
  const first = await hold(command('--nonblock'))
  if (first.release) return first.release
  if (first.code !== EXIT.locked) throw new Failure(`the lock cannot be taken: ${first.stderr.trim()}`, { hint: 'may this user write there (sudo)? flock is in the package util-linux (on macOS: brew install flock)' })
  if (!wait) throw new Failure(`the lock is held by ${holder()}`, { exitCode: EXIT.locked, hint: 'run it again later, or with --wait' })
  say.step(`waiting for ${holder()}`)
  const second = await hold(command())
  if (!second.release) throw new Failure(`the lock cannot be taken: ${second.stderr.trim()}`)
  return second.release
}
