// Who came to personal data, when and from where: a line of JSON each, in a file that is only ever added to.
import { readFileSync, readlinkSync } from 'node:fs'
import { isatty } from 'node:tty'
import { Failure, messageOf } from './errors.ts'
import { appendLine } from './files.ts'
import { who } from './history.ts'

/** Appends a line, before what it tells of is done. Throws a Failure when it cannot: nobody comes to the data without a trace. */
export const audit = (what: string, details: Record<string, unknown> = {}) => {
  try {
    appendLine('audit.jsonl', { time: new Date().toISOString(), who: who(), from: origin(), what, ...details })
  } catch (error) {
    throw new Failure(`no ${what} without a line in the audit log, and that cannot be written: ${messageOf(error)}`, {
      cause: error,
      hint: 'is the disk full (df -h), and is this the user that runs the scripts on this server (sudo)?',
    })
  }
}

/** Where this command was given: the address of an ssh client, cron, or a terminal. */
const origin = () => upwards(process.pid) ?? terminal() ?? 'no terminal'

// Asks the processes above too: sudo takes SSH_CONNECTION away.
const upwards = (pid: number): string | undefined => {
  if (pid <= 1) return undefined
  if (/^(cron|crond)$/m.test(processFile(pid, 'comm'))) return 'cron'
  const client = /(?:^|\0)SSH_CONNECTION=([^ \0]+)/.exec(processFile(pid, 'environ'))?.[1]
  return client ?? upwards(Number(/^PPid:\t(\d+)$/m.exec(processFile(pid, 'status'))?.[1] ?? 0))
}

const processFile = (pid: number, name: string) => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    // it belongs to somebody else, or has ended
    return ''
  }
}

const terminal = () => {
  const descriptor = [0, 1, 2].find(isatty)
  return descriptor === undefined ? undefined : readlinkSync(`/proc/self/fd/${descriptor}`)
}
