// What an upgrade to a new major version, or a restore of the whole server, has noted: which volume is of which
// version, and which of them is kept for a way back.
import * as v from 'valibot'
import { docker } from '../docker/commands.ts'
import { messageOf } from '../system/errors.ts'
import { timestamp } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { attempt, capture } from '../system/run.ts'
import { time, wholeNumber } from '../system/schema.ts'
import type { Settings } from '../system/settings.ts'
import { readState, writeState } from '../system/state_folder.ts'

const CLUSTER = v.object({
  image: v.string(),
  volume: v.string(),
  /** the major version */
  version: wholeNumber,
  /**
   * what POSTGRES_IMAGE and POSTGRES_VOLUME say in .env while it is the live one; empty: what docker-compose.yml says
   */
  settings: v.object({ POSTGRES_IMAGE: v.string(), POSTGRES_VOLUME: v.string() }),
})

/** The data of a server, and the image that serves them. */
export type Cluster = v.InferOutput<typeof CLUSTER>

const KEPT = v.object({ ...CLUSTER.entries, since: time })
const CHANGE = v.object({
  since: time,
  former: CLUSTER,
  next: CLUSTER,
  /** what ALTER SYSTEM had set of what an upgrade sets in the former one; missing while it has set nothing */
  had: v.exactOptional(v.record(v.string(), v.nullable(v.string()))),
  /** the moment that the next one is of, for people: the whole server is restored; missing for an upgrade */
  moment: v.exactOptional(v.string()),
  /** the former one did not run when it began: it is not started by going back to it */
  stopped: v.exactOptional(v.literal(true)),
})

const NOTE = v.object({
  /** what was put aside, and when: newest first */
  kept: v.array(KEPT),
  /** an upgrade or its way back that is under way, or was killed */
  under_way: v.exactOptional(CHANGE),
  /** the image that .env named for an upgrade that did not end, and that took it out of there */
  wish: v.exactOptional(v.string()),
})

/** A cluster that is put aside, for a way back. */
export type KeptCluster = v.InferOutput<typeof KEPT>
/** One cluster takes the place of another. */
export type ClusterChange = v.InferOutput<typeof CHANGE>

const FILE = 'postgres_upgrade.json'

/** What is kept, and the change that did not end, if there is one. */
export function readUpgradeNote(): v.InferOutput<typeof NOTE> {
  return readState(FILE, NOTE) ?? { kept: [] }
}

const write = (note: v.InferOutput<typeof NOTE>) => writeState(FILE, note)

export function noteBeginning(change: ClusterChange) {
  write({ ...readUpgradeNote(), under_way: change })
}

/** The change was made: what it replaced is kept. */
export function noteChange({ former, next }: ClusterChange, now = new Date()) {
  const others = readUpgradeNote().kept.filter(({ volume }) => ![former.volume, next.volume].includes(volume))
  write({ kept: [{ ...former, since: now.toISOString() }, ...others] })
}

/** The change was not made. */
export function noteEnd() {
  const { kept, under_way: change, wish: before } = readUpgradeNote()
  const isUpgrade = change !== undefined && change.next.version > change.former.version
  const wish = isUpgrade ? change.next.settings.POSTGRES_IMAGE : before
  write({ kept, ...(wish ? { wish } : {}) })
}

/** What is to be said of an upgrade, or of a way back, that did not end, and what to do. */
export function unfinishedText({ since, former, next, had, moment }: ClusterChange) {
  if (moment !== undefined)
    return (
      `the restore of the whole server that began at ${since} did not end: tsx scripts/backup_restore.ts ` +
      '--whole-server'
    )
  const isUpgrade = next.version > former.version
  const keeps = had === undefined ? '' : ', and the server keeps for it what is written'
  const how = `tsx scripts/postgres_upgrade.ts${isUpgrade ? '' : ' --undo'}`
  return (
    `the ${isUpgrade ? 'upgrade' : 'way back'} to PostgreSQL ${next.version} that began at ${since} did not ` +
    `end${keeps}: ${how}`
  )
}

/** The same of what was noted; only under the data lock, when none is under way. */
export function upgradeTrouble() {
  const { under_way: change } = readUpgradeNote()
  return change && unfinishedText(change)
}

/** The name of a new volume. */
export function volumeName(project: string, version: number, time: Date) {
  return `${project}_postgres_${version}_${timestamp(time).toLowerCase()}`
}

/** Makes a volume that Compose takes for one of its own. */
export async function makeVolume(project: string, volume: string) {
  const labels = { project, volume: 'postgres' }
  const words = Object.entries(labels).flatMap(([name, value]) => ['--label', `com.docker.compose.${name}=${value}`])
  await capture(docker('volume', 'create', ...words, volume), { what: 'making the new volume' })
}

export async function removeVolume(volume: string) {
  await capture(docker('volume', 'rm', '--force', volume), { what: `removing the volume ${volume}` })
}

/**
 * The volumes that were put aside more than so many days ago. The one that is served is none of them, whoever has gone
 * back to it by hand; while a change is under way nobody knows.
 */
export function overdueVolumes(
  { kept, under_way: change }: v.InferOutput<typeof NOTE>,
  days: number,
  live: string,
  now: Date,
) {
  if (change) return []
  const isOver = ({ volume, since }: KeptCluster) =>
    volume !== live && now.getTime() - Date.parse(since) >= days * 86_400_000
  return kept.filter(isOver).map(({ volume }) => volume)
}

/** Removes the volumes that were put aside more than so many days ago. Gives their names. */
export async function removeFormerVolumes(settings: Settings, now = new Date()) {
  const removed: string[] = []
  const live = settings.POSTGRES_VOLUME ?? `${settings.COMPOSE_PROJECT_NAME}_postgres`
  for (const volume of overdueVolumes(readUpgradeNote(), settings.FORMER_DAYS, live, now)) {
    try {
      await removeVolume(volume)
      const note = readUpgradeNote()
      write({ ...note, kept: note.kept.filter(it => it.volume !== volume) })
      removed.push(`the volume ${volume}`)
    } catch (error) {
      say.warn(`the former volume ${volume} could not be removed: ${messageOf(error)}`)
    }
  }
  return removed
}

/** Whether a volume is there. */
export async function volumeExists(volume: string) {
  return (await attempt(docker('volume', 'inspect', volume))).code === 0
}
