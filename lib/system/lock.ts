// One at a time. The kernel holds a lock (flock), so it ends with its owner, however that ends: none is ever left
// behind.
import { EXIT, Failure } from './errors.ts'
import type { Disposable } from './scope.ts'
import { stateFile } from './state_folder.ts'
import { hold } from './run.ts'
import { say } from './progress.ts'

/**
 * In seconds: longer than any backup or restore takes. What holds the lock for longer is a question that nobody
 * answers, and those of cron would queue behind it for ever.
 */
const PATIENCE = 6 * 3600

/**
 * Takes a lock of the stack, until it is disposed of. With wait it queues until the lock is free, but not for ever.
 * `never`: whoever calls has no --wait. `holder` says who has it, for the others. Throws a Failure with 75 that names
 * the holder.
 */
export async function takeLock(
  name: string,
  holder: () => string,
  wait: boolean | 'never',
  patience = PATIENCE,
): Promise<Disposable> {
  // sh tells through its output that the lock is held; then cat waits until this process closes the pipe, or ends in
  // any way.
  const command = (...flags: string[]) => [
    'flock',
    ...flags,
    '--conflict-exit-code',
    String(EXIT.locked),
    stateFile(name),
    'sh',
    '-c',
    'echo; exec cat',
  ]
  const first = await hold(command('--nonblock'))
  if (first.release) return { dispose: first.release }
  if (first.code !== EXIT.locked)
    throw new Failure(`the lock cannot be taken: ${first.stderr.trim()}`, {
      hint: 'may this user write there (sudo)? flock is in the package util-linux (on macOS: brew install flock)',
    })
  const held = (hint: string) => new Failure(`the lock is held by ${holder()}`, { exitCode: EXIT.locked, hint })
  if (wait !== true) throw held(wait === 'never' ? 'run it again later' : 'run it again later, or with --wait')
  say.step(`waiting for ${holder()}`)
  const second = await hold(command('--timeout', String(patience)))
  if (!second.release && second.code === EXIT.locked)
    throw held('it was waited for long enough: is there a question that nobody has answered?')
  if (!second.release) throw new Failure(`the lock cannot be taken: ${second.stderr.trim()}`)
  return { dispose: second.release }
}
