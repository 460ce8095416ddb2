// What is noted of a cutover, from its first step on: whoever comes later, or after a power cut, knows the way back.
import { existsSync, rmSync } from 'node:fs'
import * as v from 'valibot'
import { hasData } from '../docker/volumes.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { time } from '../system/schema.ts'
import type { Settings } from '../system/settings.ts'
import { readState, stateFile, statePath, writeState } from '../system/state_folder.ts'
import { OLD_CONTAINER } from './old_containers.ts'

const FILE = 'cutover.json'
const NOTE = v.object({
  time,
  /** of the old checkout, as it was named */
  folder: v.string(),
  stopped: v.array(OLD_CONTAINER),
  /** the container that hands on, on another machine */
  forwarder: v.optional(v.string()),
  /** when this stack had the site; absent while it has not */
  done: v.optional(time),
})
export type Note = v.InferOutput<typeof NOTE>

export function readNote() {
  return readState(FILE, NOTE)
}

export function writeNote(note: Note) {
  writeState(FILE, note, 0o600)
}

/** Nobody needs to know any more what was stopped. */
export function forgetCutOver() {
  rmSync(stateFile(FILE), { force: true })
}

/** When the site was taken over, and from where. Throws a Failure (69) when it was not, or nobody knows. */
export function readCutOver() {
  const note = readNote()
  if (note) return note
  if (existsSync(statePath(FILE)))
    throw new Failure(`${statePath(FILE)} cannot be read, so nobody knows what the cutover stopped`, {
      exitCode: EXIT.unreachable,
      hint:
        'nothing was changed. By hand: docker compose stop here, then docker start with all containers of the old ' +
        'stack (docker ps --all)',
    })
  throw new Failure('no site was taken over by this checkout', {
    exitCode: EXIT.unreachable,
    hint: 'nothing was changed',
  })
}

/** Says so when a cutover was killed; throws a Failure (78) when that was of another old site. */
export function tellKilled(name: string) {
  const note = readNote()
  if (note === undefined || note.done !== undefined) return
  const back = `tsx scripts/setup.ts --from ${note.folder} --back`
  if (note.folder !== name)
    throw badConfig(
      `a cutover of ${note.folder} began at ${note.time} and did not end`,
      `nothing was changed; first: ${back}`,
    )
  say.warn(
    `a cutover began at ${note.time} and did not end: the old apps may be stopped all the while. To have them ` +
      `back first: ${back}`,
  )
}

/** A first start restores the dump into an empty volume alone. Throws a Failure (78) when it is not empty. */
export async function refuseForData({ COMPOSE_PROJECT_NAME: project, POSTGRES_VOLUME }: Settings) {
  const note = readNote()
  const back = `tsx scripts/setup.ts --from ${note?.folder} --back`
  if (note?.done !== undefined)
    throw badConfig(
      `the site of ${note.folder} was taken over at ${note.done}`,
      `nothing was changed; to give it back: ${back}. tsx scripts/setup.ts sees whether its backups are made`,
    )
  const volume = POSTGRES_VOLUME ?? `${project}_postgres`
  if (!(await hasData(volume))) return
  if (note)
    throw badConfig(
      `a cutover that began at ${note.time} was killed while this stack started: the old apps are stopped`,
      `first: ${back}, which starts the old site again`,
    )
  throw badConfig(
    `this stack has a database already (the volume ${volume}), and the one of the old stack would not take its place`,
    'nothing was changed. To try again: save what is in it, if it is worth something (tsx scripts/backup.ts), ' +
      `then docker compose rm --stop --force postgres && docker volume rm ${volume}`,
  )
}
