// The stack of the bash scripts while it runs: what it consists of, and its database. It is read, never changed.
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { digestFile, dumpFile, roleFiles, rolesBeside } from '../backup/publish_dump.ts'
import { docker } from '../docker/commands.ts'
import { type Instance, listInstances } from '../docker/containers.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { saveRoles } from '../postgres/saved_roles.ts'
import { type Server, sql } from '../postgres/server.ts'
import { asDiskFull } from '../system/disk_space.ts'
import { EXIT, Failure, messageOf } from '../system/errors.ts'
import { partialBeside } from '../system/files.ts'
import { writeOutput } from '../system/large_files.ts'
import { say } from '../system/progress.ts'
import { readOldSettings } from './old_env.ts'
import type { OldMachine } from './old_machine.ts'

export interface OldStack {
  machine: OldMachine
  project: string
  settings: ReadonlyMap<string, string>
  /** its containers, running or not */
  instances: Instance[]
  /** what docker-compose run has left running: it may write, and is no part of the stack */
  oneOffs: Instance[]
}

/** The stack of a checkout. Throws a Failure: 78 when its .env cannot be read, 69 when it has no container. */
export async function readOldStack(machine: OldMachine): Promise<OldStack> {
  const { settings, project } = await readOldSettings(machine)
  const all = await listInstances(project, undefined, machine.engine)
  const instances = all.filter(({ oneOff }) => !oneOff)
  const oneOffs = all.filter(({ oneOff, running }) => oneOff && running)
  if (instances.length > 0) return { machine, project, settings, instances, oneOffs }
  throw new Failure(`there is no container of the old stack (the Compose project ${project})`, {
    exitCode: EXIT.unreachable,
    hint: `docker ps --all says what is there; was it removed? Start it: docker-compose up -d in ${machine.name}`,
  })
}

/** A running container of the old stack. Throws a Failure (69) when there is none. */
export function runningOf({ instances, machine }: OldStack, service: string) {
  const instance = instances.find(it => it.service === service && it.running)
  if (instance) return instance
  throw new Failure(`${service} of the old stack is not running`, {
    exitCode: EXIT.unreachable,
    hint: `nothing was changed; start it: docker-compose up -d ${service} in ${machine.name}`,
  })
}

const serverOf = (old: OldStack): Server => {
  const { id, name, image } = runningOf(old, 'postgres')
  const user = old.settings.get('POSTGRES_USER') || 'postgres'
  const database = old.settings.get('POSTGRES_DB') || user
  return { id, name, image, user, app: user, database, engine: old.machine.engine }
}

/** Of the database of the running old stack, in bytes. Throws a Failure. */
export async function oldDatabaseSize(old: OldStack) {
  const server = serverOf(old)
  return Number(await sql(server, server.database, 'select pg_database_size(current_database())'))
}

/** The databases of the old server that are not the site's, and are not brought. Throws a Failure. */
export async function otherDatabases(old: OldStack) {
  const server = serverOf(old)
  const query =
    "select datname from pg_database where not datistemplate and datname not in ('postgres', :'own') order by 1"
  const names = await sql(server, server.database, query, { own: server.database })
  return names.split('\n').filter(Boolean)
}

const saveOldRoles = async (server: Server) => {
  try {
    await saveRoles(server, rolesBeside('latest'))
  } catch (error) {
    say.warn(`the roles of the old server come without their passwords and settings: ${messageOf(error)}`)
  }
}

/**
 * Writes the database of the running old stack to db/dumps/latest.dump, and the roles of its server beside it. Throws a
 * Failure; then what was there is as it was.
 */
export async function dumpOld(old: OldStack) {
  const server = serverOf(old)
  // Its own pg_dump: it knows its server, and a newer pg_restore reads what it writes.
  const words = ['--format=custom', '--no-password', '--lock-wait-timeout=60s', `--username=${server.user}`]
  const command = docker('exec', '--interactive', server.id, 'pg_dump', ...words, server.database)
  mkdirSync(DUMPS, { recursive: true, mode: 0o700 })
  const file = dumpFile('latest')
  const partial = partialBeside(file)
  try {
    const hint = 'the lines above are of pg_dump'
    await writeOutput(command, partial, { what: `pg_dump in ${server.name}`, hint, engine: server.engine })
    for (const former of [digestFile('latest'), ...roleFiles('latest')]) rmSync(former, { force: true })
    await saveOldRoles(server)
    renameSync(partial, file)
  } catch (error) {
    throw asDiskFull(error, DUMPS)
  } finally {
    rmSync(partial, { force: true })
  }
}
