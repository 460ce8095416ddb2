// What a container says, and what it said before it was given up.
import { say } from '../system/progress.ts'
import { attempt } from '../system/run.ts'
import { healthLog, logs } from './commands.ts'

/** Lines of a log that are shown as they come. */
const MOST = 2000

/** Shows the lines of a log, but not without end: all that is read of it is kept in memory, and cron mails it. */
export async function showLog(lines: AsyncIterable<string>, most = MOST) {
  let shown = 0
  for await (const line of lines) {
    if (shown++ === most) return say.detail('… it goes on: docker logs has it')
    say.detail(line)
  }
}

/** The end of its log and what its health check said last, as lines that follow what went wrong. */
export async function lastWordsOf(id: string): Promise<string[]> {
  const log = await attempt(logs(id, '--tail', '15'))
  const probe = await attempt(healthLog(id))
  return lastLines(log.stdout + log.stderr, probe.stdout)
}

/** The same, of what they have said. */
export function lastLines(log: string, probe: string) {
  const said = log.trim() || '(it wrote nothing)'
  const checked = [...new Set(probe.split('\n').filter(Boolean))].slice(-2).join(' · ')
  const lines = ['  the last lines of its log:', ...said.split('\n').map(line => `    ${line}`)]
  return checked ? [...lines, `  its health check said: ${checked}`] : lines
}
