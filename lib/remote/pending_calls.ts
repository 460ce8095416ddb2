// Calls to a server that have not come back: who calls that server next hears what became of them.
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { replaceFile } from '../system/files.ts'
import { readState, stateFile } from '../system/state_folder.ts'
import * as v from 'valibot'
import { readJson, time, wholeNumber } from '../system/schema.ts'
import type { Host } from './host.ts'
import { isAlive } from '../system/processes.ts'
import { say } from '../system/progress.ts'

const CALL = v.object({
  host: v.string(),
  /** "deploy_local avril" */
  what: v.string(),
  since: time,
  pid: wholeNumber,
})

/** The last line of the histories of another machine: of deploys, and of backups. */
const END = v.object({
  time: v.string(),
  who: v.string(),
  repository: v.optional(v.string(), 'backup'),
  result: v.string(),
  phase: v.optional(v.string(), ''),
  error: v.optional(v.string(), ''),
})

const ROLLOUT = v.object({ repository: v.string(), who: v.string(), phase: v.string() })

const FORM = /^call-(\d+)\.json$/

const fileOf = (pid: number) => stateFile(`call-${pid}.json`)

/** Notes a call; gives what is called when it has come back, with whatever result. */
export function noteCall({ name }: Host, what: string) {
  const call: v.InferOutput<typeof CALL> = { host: name, what, since: new Date().toISOString(), pid: process.pid }
  replaceFile(fileOf(call.pid), `${JSON.stringify(call)}\n`, 0o600)
  return () => rmSync(fileOf(call.pid), { force: true })
}

/** Of a deploy: "avril-profil by anna: deployed"; of a backup: "backup by anna: made". */
const endOf = ({ repository, who, result, phase, error }: v.InferOutput<typeof END>) =>
  `${repository} by ${who}: ${result}${phase && ` in phase ${phase}`}${error && ` (${error})`}`

// A line that was cut by a power failure tells nothing.
const newsIn = (line: string | undefined, since: string) => {
  if (line === undefined) return []
  const { value } = readJson(END, line)
  return value && value.time > since ? [endOf(value)] : []
}

const underWay = ({ rollout }: Host) => {
  if (rollout === undefined) return []
  const { value } = readJson(ROLLOUT, rollout)
  return [
    value
      ? `${value.repository} by ${value.who} is in phase ${value.phase}`
      : 'a deploy is under way there, or was interrupted',
  ]
}

/** Says how the calls to this host ended whose connection was lost, or whose caller was killed. */
export function tellOfLostCalls(host: Host) {
  const pids = readdirSync(dirname(fileOf(0)))
    .flatMap(name => FORM.exec(name)?.[1] ?? [])
    .map(Number)
  for (const pid of pids.filter(pid => !isAlive(pid))) {
    const call = readState(basename(fileOf(pid)), CALL)
    if (!call) rmSync(fileOf(pid), { force: true })
    if (call?.host !== host.name) continue
    const news = [...underWay(host), ...newsIn(host.deploy, call.since), ...newsIn(host.backup, call.since)]
    say.step(
      `the call at ${call.since} (${call.what}) did not come back. Since then: ` +
        (news.join('; ') || 'nothing has ended there'),
    )
    if (host.rollout === undefined) rmSync(fileOf(pid), { force: true })
  }
}
