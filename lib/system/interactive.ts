// Programs that a person sees and talks to: what they write goes straight to where this program's own words go.
import { constants } from 'node:os'
import { Failure } from './errors.ts'
import { $ } from 'zx/core'
import { outcomeOf } from './run.ts'
import { interruption, onInterruption } from './signals.ts'

/** Hands the terminal to a command (a console, a log) and gives its exit code; Ctrl-C is its own. */
export async function interactive(command: string[]) {
  const child = $({ nothrow: true, quiet: true, stdio: 'inherit' })`exec ${command}`
  const forget = onInterruption(() => child.child?.kill('SIGTERM'))
  const { code } = outcomeOf(await child)
  forget()
  return interruption.aborted ? (interruption.reason as Failure).exitCode : code
}

/**
 * Runs a script at the other end of an ssh connection, and gives its exit code and, when that is wanted, its output.
 * Signals are not sent to ssh, which would drop the connection, but said to the script through its standard input
 * (lib/cli/relayed_signals.ts).
 */
export async function relay(command: string[], { output = false } = {}) {
  const child = $({
    nothrow: true,
    quiet: true,
    detached: true,
    stdio: ['pipe', output ? 'pipe' : 'inherit', 'inherit'],
  })`exec ${command}`
  child.stdin.on('error', () => {})
  const nameOf = (code: number) => Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0]
  const forget = onInterruption(() => child.stdin.write(`${nameOf((interruption.reason as Failure).exitCode)}\n`))
  const outcome = outcomeOf(await child)
  forget()
  return outcome
}
