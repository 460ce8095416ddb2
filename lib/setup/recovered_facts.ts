// What is told of a site that came back.
import { findSet } from '../backup/sets.ts'
import { short, tagOf } from '../deploy/release_text.ts'
import { isRelease } from '../deploy/releases.ts'
import { listInstances } from '../docker/containers.ts'
import { openStack } from '../docker/stack.ts'
import { collationTrouble } from '../postgres/collations.ts'
import { findServer, openSessions } from '../postgres/server.ts'
import { countRows } from '../postgres/snapshot.ts'
import { say } from '../system/progress.ts'
import type { Settings } from '../system/settings.ts'

/** The rows of each table. */
export async function countAll(settings: Settings) {
  const server = await openSessions(await findServer(settings.COMPOSE_PROJECT_NAME, settings))
  const trouble = await collationTrouble(server)
  if (trouble !== undefined) say.warn(trouble)
  return countRows(server, server.database)
}

/** An app of which another commit is live than was in the site that is lost. */
export interface OtherRelease {
  repository: string
  /** the tag of its image then */
  was: string
  /** the commit of now, short */
  now: string
}

/**
 * The apps of which another commit runs than when a set was made. Deploys of the same day are in no set: they may have
 * changed the database, so nobody goes back to these by himself.
 */
export async function otherReleases(settings: Settings, name: string | null): Promise<OtherRelease[]> {
  if (name === null) return []
  const { releases } = findSet(settings.BACKUP_DIR, name)
  const { apps, project } = await openStack()
  const live = await listInstances(project)
  return apps.flatMap(({ service, repository }) => {
    const was = releases[service]
    const now = live.find(it => it.service === service && !it.oneOff)?.revision
    if (was === undefined || now === undefined || !isRelease(was) || tagOf(was).startsWith(short(now))) return []
    return [{ repository, was: tagOf(was), now: short(now) }]
  })
}
