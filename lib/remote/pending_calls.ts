// Calls to a server that have not come back: who calls that server next hears what became of them.
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { replaceFile } from '../system/files.ts'
import { readState, stateFile } from '../system/state_folder.ts'
import { isRecord, isText, parseJson } from '../system/shapes.ts'
import type { Entry } from '../deploy/history.ts'
import type { Host } from './host.ts'
import { isAlive } from '../system/processes.ts'
import { say } from '../system/log.ts'

interface Call {
  host: string
  /** "deploy_local avril" */
  what: string
  /** ISO 8601, UTC */
  since: string
  pid: number
}

const isCall = (it: unknown): it is Call => isRecord(it) && [it.host, it.what, it.since].every(isText)

const FORM = /^call-(\d+)\.json$/

const fileOf = (pid: number) => stateFile(`call-${pid}.json`)

/** Notes a call; gives what is called when it has come back, with whatever result. */
export const noteCall = ({ name }: Host, what: string) => {
  const call: Call = { host: name, what, since: new Date().toISOString(), pid: process.pid }
  replaceFile(fileOf(call.pid), `${JSON.stringify(call)}\n`, 0o600)
  return () => rmSync(fileOf(call.pid), { force: true })
}

/** Of a deploy: "avril-profil by anna: deployed"; of a backup: "backup by anna: made". */
const endOf = ({ repository, who, result, phase, error }: Partial<Entry>) =>
  `${repository ?? 'backup'} by ${who}: ${result}${phase ? ` in phase ${phase}` : ''}${error ? ` (${error})` : ''}`

// A line that was cut by a power failure tells nothing.
const parsed = (text: string) => {
  const it = parseJson(text)
  return isRecord(it) ? it : {}
}

const newsIn = (line: string, since: string) => {
  const entry = parsed(line)
  return isText(entry.time) && entry.time > since ? [endOf(entry)] : []
}

const underWay = ({ rollout }: Host) => {
  if (rollout === '') return []
  const { repository, who, phase } = parsed(rollout)
  return [
    isText(repository)
      ? `${repository} by ${String(who)} is in phase ${String(phase)}`
      : 'a deploy is under way there, or was interrupted',
  ]
}

/** Says how the calls to this host ended whose connection was lost, or whose caller was killed. */
export const tellOfLostCalls = (host: Host) => {
  const pids = readdirSync(dirname(fileOf(0)))
    .flatMap(name => FORM.exec(name)?.[1] ?? [])
    .map(Number)
  for (const pid of pids.filter(pid => !isAlive(pid))) {
    const call = readState(basename(fileOf(pid)), isCall)
    if (!call) rmSync(fileOf(pid), { force: true })
    if (call?.host !== host.name) continue
    const news = [...underWay(host), ...newsIn(host.deploy, call.since), ...newsIn(host.backup, call.since)]
    say.step(
      `the call at ${call.since} (${call.what}) did not come back. Since then: ${news.join('; ') || 'nothing has ended there'}`,
    )
    if (host.rollout === '') rmSync(fileOf(pid), { force: true })
  }
}
