// What visitors got in each second of a deploy, of which instance: the picture in the page of history.ts.
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { type Served, tallyOf } from '../nginx/traffic.ts'
import { messageOf } from '../system/errors.ts'
import { replaceFile } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { wholeNumber } from '../system/schema.ts'
import { readState, stateFile, statePath } from '../system/state_folder.ts'

const TIMELINE = v.object({
  /** when its first second began, as Date.now() tells it */
  start: wholeNumber,
  phases: v.array(v.object({ phase: v.string(), at: wholeNumber })),
  /** seconds in which something was served, for each instance by its name */
  seconds: v.array(
    v.object({
      second: wholeNumber,
      instance: v.string(),
      requests: wholeNumber,
      failed: wholeNumber,
      /** seconds */
      p99: v.number(),
    }),
  ),
})

export type Timeline = v.InferOutput<typeof TIMELINE>

const KEPT = 30
const FOLDER = 'timelines'
const nameOf = (service: string, since: string) => `${service}-${since.replaceAll(/\W/g, '')}.json`

/** Puts together what instances (their names by address) served from a time on. */
export function timelineOf(
  served: Served[],
  names: Map<string, string>,
  start: number,
  phases: Timeline['phases'],
): Timeline {
  const groups = new Map<string, { second: number; instance: string; served: Served[] }>()
  for (const request of served) {
    const instance = names.get(request.address)
    const second = Math.floor((request.at - start) / 1000)
    if (instance === undefined || second < 0) continue
    const key = `${second} ${instance}`
    const group = groups.get(key) ?? { second, instance, served: [] }
    group.served.push(request)
    groups.set(key, group)
  }
  const seconds = [...groups.values()].map(({ second, instance, served }) => {
    const { requests, failed, p99 } = tallyOf(served)
    return { second, instance, requests, failed: failed.count, p99 }
  })
  return { start, phases, seconds: seconds.toSorted((a, b) => a.second - b.second) }
}

/** Keeps that of a deploy, and removes those of the oldest. What fails is told: it must not undo a deploy. */
export function keepTimeline({ service, since }: { service: string; since: string }, timeline: Timeline) {
  try {
    mkdirSync(stateFile(FOLDER), { recursive: true, mode: 0o700 })
    replaceFile(join(statePath(FOLDER), nameOf(service, since)), `${JSON.stringify(timeline)}\n`, 0o600)
    const timeOf = (name: string) => name.slice(name.lastIndexOf('-') + 1)
    const names = readdirSync(statePath(FOLDER))
      .filter(name => name.endsWith('.json'))
      .toSorted((a, b) => timeOf(a).localeCompare(timeOf(b)))
    for (const name of names.slice(0, -KEPT)) rmSync(join(statePath(FOLDER), name), { force: true })
  } catch (error) {
    say.warn(`what visitors got meanwhile is not kept: ${messageOf(error)}`)
  }
}

/** That of a deploy, if it is kept. */
export function readTimeline({ service, since }: { service: string; since?: string }): Timeline | undefined {
  return since === undefined ? undefined : readState(join(FOLDER, nameOf(service, since)), TIMELINE)
}
