// A whole server as it was at a moment, in a volume of its own: recovered without a network, proved, and ended in
// order.
import { giveToApp, makeAppRole } from '../postgres/app_role.ts'
import { collationTrouble } from '../postgres/collations.ts'
import { admin, databaseExists } from '../postgres/databases.ts'
import { type RecoveryTarget, settleRecovered } from '../postgres/recovered.ts'
import { asData, inServer, psql, rows, type Server } from '../postgres/server.ts'
import { PLACE } from '../postgres/server_image.ts'
import { countRows } from '../postgres/snapshot.ts'
import { targetText } from '../restore/moments.ts'
import { type RecoveredMoment, recoverMoment } from '../restore/recover_moment.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import type { DataWork } from '../system/work_lock.ts'

/** What was recovered. */
export interface ServerOfThen {
  moment: RecoveredMoment
  image: string
  version: number
  /** of the data, and what is left beside them */
  bytes: number
  free: number
  databases: string[]
  roles: string[]
  /** the rows of each table of the site's database */
  after: Record<string, number>
  /** all rows that were read, those of the other databases too */
  rows: number
  /** what is to be said of its indexes */
  collations: string | undefined
}

export interface ServerRequest {
  project: string
  image: string
  /** that gets the data */
  volume: string
  /** the live server, when it answers */
  live: Server | undefined
  target: RecoveryTarget
  settings: Settings
  keyFile: string | undefined
  data: DataWork
  /** Throws a Failure when the site cannot have a server of this image. */
  check: (image: string, version: number) => Promise<void>
}

const DATABASES = 'select to_json(datname) from pg_database where datallowconn and not datistemplate order by datname'
const ROLES = "select to_json(rolname) from pg_roles where rolname !~ '^pg_' order by rolname"

/** The roles of a server. */
export function rolesOf(server: Server) {
  return rows<string>(server, 'template1', ROLES)
}

// Those of then are not those of .env; whoever logs in does so by these.
const PASSWORD = `
set log_min_error_statement = panic;
set log_statement = none;
\\set VERBOSITY terse
select format('alter role %I with login password %L', :'user', text) from given \\gexec
`

const setPasswords = async (server: Server, { POSTGRES_PASSWORD: own, POSTGRES_APP_PASSWORD: ofApp }: Settings) => {
  const { user, app, database } = server
  const command = psql(server, database, `--set=user=${user}`)
  await capture(command, { input: asData(own) + PASSWORD, what: `setting the password of ${user}` })
  if (app === user || ofApp === undefined) return
  await makeAppRole(server, ofApp)
  await giveToApp(server, database)
}

const numberOf = async (server: Server, ...command: string[]) =>
  Number.parseInt((await capture(inServer(server, ...command))).split('\n').at(-1)!)

const lookAt = async (server: Server) => {
  const databases = await rows<string>(server, 'template1', DATABASES)
  const counts = new Map<string, Record<string, number>>()
  // To read all rows is the proof that they can be read.
  for (const name of databases) counts.set(name, await countRows(server, name))
  const all = [...counts.values()].flatMap(it => Object.values(it))
  return {
    databases,
    roles: await rolesOf(server),
    after: counts.get(server.database) ?? {},
    rows: all.reduce((sum, count) => sum + count, 0),
    collations: await collationTrouble(server),
    bytes: await numberOf(server, 'du', '--summarize', '--block-size=1', PLACE),
    free: await numberOf(server, 'df', '--output=avail', '--block-size=1', PLACE),
  }
}

/** Recovers it. Throws a Failure: 64 or 65 when there is no such moment, 65 for damage, 74 when it does not fit. */
export async function recoverServer(request: ServerRequest): Promise<ServerOfThen> {
  const { project, image, volume, live, target, settings, keyFile, data } = request
  data.step('recover', `${targetText(target)}, into the volume ${volume}, without a network`)
  const opened = await recoverMoment({ project, image, volume }, live, target, { settings, keyFile })
  try {
    const { server, moment } = opened
    if (!(await databaseExists(server, server.database)))
      throw new Failure(`there was no database ${server.database} at ${targetText(target)}`, {
        exitCode: EXIT.data,
        hint: 'nothing was touched; was another moment meant?',
      })
    data.step('prove', 'all rows of all databases')
    await setPasswords(server, settings)
    const found = await lookAt(server)
    const version = Math.floor(Number(await admin(server, 'show server_version_num')) / 10_000)
    data.step('finish', 'every page is proved, and all is made durable')
    await request.check(server.image, version)
    await settleRecovered(server)
    return { moment, image: server.image, version, ...found }
  } finally {
    await opened.dispose()
  }
}
