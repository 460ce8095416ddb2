// A program whose lines are read as they come: on stderr and on stdout, which is given back too.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { Failure } from '../../lib/system/errors.ts'
import { checkInterruption, onInterruption } from '../../lib/system/signals.ts'

export interface ChildOptions {
  /** what it is, for the person who reads the error: "the deploy" */
  what: string
  cwd: string
  onLine: (line: string) => void
}

const LAST_LINES = 15

// A group of its own keeps the terminal's Ctrl-C from its children. It is told with SIGINT, and only it decides what
// that means: apt, for one, first finishes the package that it is at.
const interrupt = ({ pid }: ChildProcess) => {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGINT')
  } catch {
    // it has ended already
  }
}

const endOf = (child: ChildProcess) =>
  new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve(code ?? 1))
  })

/**
 * Runs a command to its end, which a signal to this process only asks for, and gives its stdout.
 * Throws a Failure with its last lines when it does not end with 0.
 */
export async function runLines([program = '', ...words]: string[], { what, cwd, onLine }: ChildOptions) {
  checkInterruption()
  const child = spawn(program, words, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const forget = onInterruption(() => interrupt(child))
  const [all, stdout]: [string[], string[]] = [[], []]
  const hear = (line: string) => {
    if (line.trim() === '') return
    all.push(line)
    onLine(line)
  }
  createInterface({ input: child.stderr }).on('line', hear)
  createInterface({ input: child.stdout }).on('line', line => {
    stdout.push(line)
    hear(line)
  })
  try {
    const code = await endOf(child)
    checkInterruption()
    if (code !== 0) throw new Failure([`${what} failed (exit code ${code})`, ...all.slice(-LAST_LINES)].join('\n  '))
    return stdout.join('\n')
  } finally {
    forget()
  }
}
