// A program that a person opens in a container; nothing is left of it when its terminal is lost.
import { docker } from './commands.ts'
import { Failure } from '../system/errors.ts'
import { hold } from '../system/run.ts'

export interface Session {
  /** of this session alone: the environment variable by which its processes are known in the container */
  mark: string
  /** a person's, on both ends: then the program gets a terminal too */
  terminal: boolean
}

interface Container {
  id: string
  name: string
  /** whom a program runs as; otherwise as what the container itself runs */
  account?: string
  /** RunOptions.engine */
  engine?: string | undefined
}

const as = (account: string | undefined) => (account === undefined ? [] : ['--user', account])

/** Runs a program in a container, with these variables in its environment. */
export function openIn(
  { id, account, engine }: Omit<Container, 'name'>,
  { mark, terminal }: Session,
  variables: string[],
  ...command: string[]
) {
  const environment = [mark, ...variables, ...(terminal ? ['TERM'] : [])].flatMap(variable => ['--env', variable])
  // Docker's own keys to detach (Ctrl-P Ctrl-Q) would take Ctrl-P from the program, and leave it behind.
  const tty = terminal ? ['--tty', '--detach-keys', 'ctrl-@,ctrl-@,ctrl-@'] : []
  const there = engine === undefined ? [] : ['--host', engine]
  return docker(...there, 'exec', '--interactive', ...tty, ...as(account), ...environment, id, ...command)
}

// Docker leaves what it started in a container behind when its client is gone. This one waits there for the end of its
// standard input, which comes when this process ends in any way, and then hangs up on what carries the mark.
const HANG_UP = 'echo; cat; grep -lzxF -- "$0" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | xargs -r kill -HUP'

/** Has what carries the mark ended when this process ends, in any way; or when the function that it gives is called. */
export async function hangUpLater({ id, name, account, engine }: Container, mark: string) {
  const words = docker('exec', '--interactive', ...as(account), id, 'sh', '-c', HANG_UP, mark)
  const { release, stderr } = await hold(words, { engine })
  if (!release)
    throw new Failure(`nothing can be started in ${name}: ${stderr.trim()}`, {
      hint: 'its log may tell why: scripts/logs.ts',
    })
  return release
}
