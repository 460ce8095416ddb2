// Running programs in a container: once, or again and again through shells there that stay open. A `docker exec` costs
// a tenth of a second, and half of that the processor, which a site under load feels.
import { attempt, type Outcome } from '../system/run.ts'
import { openShell, type Run, type ShellSession } from '../system/shell_session.ts'
import { docker, exec } from './commands.ts'

/** Runs each program by a `docker exec` of its own. */
export function runIn(id: string, engine?: string): Run {
  return (command, options) => attempt(exec(id, ...command), { ...options, engine })
}

// By a shell that is idle, or one that is opened; isStale: it had ended since its last command.
const runThrough = async (idle: ShellSession[], open: () => ShellSession, ...words: Parameters<Run>) => {
  const former = idle.pop()
  const shell = former ?? open()
  const outcome = await shell.run(...words)
  if (!shell.isOver()) idle.push(shell)
  return { outcome, isStale: former !== undefined && shell.isOver() }
}

/** Runs programs through shells in the container, which end when it is disposed of; there is one for each at a time. */
export function openShells(id: string, engine?: string): { run: Run; dispose: () => void } {
  const idle: ShellSession[] = []
  const run: Run = async (command, options) => {
    const open = () => openShell(docker('exec', '--interactive', id, 'sh'), engine)
    const { outcome, isStale } = await runThrough(idle, open, command, options)
    // The container was started again since the last command.
    return isStale && options?.signal?.aborted !== true ? run(command, options) : outcome
  }
  return { run, dispose: () => idle.forEach(shell => shell.end()) }
}

const idleShells = new Map<string, ShellSession[]>()

/**
 * Runs a command that was to be run by a `docker exec` of its own (`place` is that, up to the container) through a
 * shell there that stays open as long as this process. None is run twice: where the shell ends the command has failed.
 */
export async function attemptIn(
  place: string[],
  command: string[],
  { engine, input }: { engine?: string | undefined; input?: string } = {},
): Promise<Outcome> {
  const name = [engine, ...place].join('\0')
  const shells = idleShells.get(name) ?? []
  idleShells.set(name, shells)
  // The one that is next must not have ended while it was idle.
  while (shells.at(-1)?.isOver()) shells.pop()
  const open = () => openShell([...place, 'sh'], engine)
  const { outcome } = await runThrough(shells, open, command, input === undefined ? {} : { input })
  return outcome
}
