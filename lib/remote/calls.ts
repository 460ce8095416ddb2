// Calls to a server that have not come back: who calls that server next hears what became of them.
import { readdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { readIfThere, replaceFile, stateFile } from '../files.ts'
import type { Entry } from '../history.ts'
import type { Host } from './host.ts'
import { isAlive } from '../processes.ts'
import { say } from '../say.ts'

interface Call {
  host: string
  /** "deploy_local avril" */
  what: string
  /** ISO 8601, UTC */
  since: string
  pid: number
}

const FORM = /^call-(\d+)\.json$/

const fileOf = (pid: number) => stateFile(`call-${pid}.json`)

/** Notes a call; gives what is called when it has come back, with whatever result. */
export const noteCall = ({ name }: Host, what: string) => {
  const call: Call = { host: name, what, since: new Date().toISOString(), pid: process.pid }
  replaceFile(fileOf(call.pid), `${JSON.stringify(call)}\n`, 0o600)
  return () => rmSync(fileOf(call.pid), { force: true })
}

/** Of a deploy: "avril-profil by anna: deployed"; of a backup: "backup by anna: made". */
const endOf = ({ repository, who, result, phase, error }: Partial<Entry>) => `${repository ?? 'backup'} by ${who}: ${result}${phase ? ` in phase ${phase}` : ''}${error ? ` (${error})` : ''}`

// A line that was cut by a power failure tells nothing.
const parsed = <T extends object>(text: string): Partial<T> => {
  try {
    return JSON.parse(text) as T
  } catch {
    return {}
  }
}

const newsIn = (line: string, since: string) => {
  const entry = parsed<Entry>(line)
  return entry.time !== undefined && entry.time > since ? [endOf(entry)] : []
}

const underWay = ({ rollout }: Host) => {
  if (rollout === '') return []
  const { repository, who, phase } = parsed<{ repository: string; who: string; phase: string }>(rollout)
  return [`${repository} by ${who} is in phase ${phase}`]
}

/** Says how the calls to this host ended whose connection was lost, or whose caller was killed. */
export const tellOfLostCalls = (host: Host) => {
  const pids = readdirSync(dirname(fileOf(0))).flatMap(name => FORM.exec(name)?.[1] ?? []).map(Number)
  for (const pid of pids.filter(pid => !isAlive(pid))) {
    const call = parsed<Call>(readIfThere(fileOf(pid)) ?? '')
    if (call.host !== host.name || call.since === undefined) continue
    const news = [...underWay(host), ...newsIn(host.deploy, call.since), ...newsIn(host.backup, call.since)]
    say.step(`the call at ${call.since} (${call.what}) did not come back. Since then: ${news.join('; ') || 'nothing has ended there'}`)
    if (host.rollout === '') rmSync(fileOf(pid), { force: true })
  }
}
