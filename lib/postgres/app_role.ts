// The role that phoenix logs in as: no superuser, and the owner of the site's database. Without POSTGRES_APP_USER
// phoenix logs in as POSTGRES_USER, as sites did before there was one.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { Failure } from '../system/errors.ts'
import { asData, psql, type Server, sql } from './server.ts'
import { attempt, capture, failureOf } from '../system/run.ts'

const script = (name: string) => readFileSync(join(root, 'postgres', name), 'utf8')

/** SQL that makes the statements which give the role what belongs to a superuser. */
export function superusersObjects() {
  return script('superusers_objects.sql')
}

const has = ({ app, user }: Server) => app !== user

/** Makes the role, with this password. What it does not own yet stays whose it is. Throws a Failure. */
export async function makeAppRole(server: Server, password: string) {
  const { app, user, database } = server
  await capture(psql(server, database, `--set=app=${app}`, `--set=user=${user}`), {
    input: asData(password) + script('app_role.sql'),
    what: `making the role ${app}`,
  })
}

const LIMIT = "set lock_timeout = '5s';\n\\set VERBOSITY terse\n\\set ON_ERROR_STOP 0\n"

/**
 * Gives the role what belongs to a superuser in a database, one object after another: who waits for a table has all
 * others wait behind him. Throws a Failure for what it could not have, when all else is given.
 */
export async function giveToApp(server: Server, database: string) {
  if (!has(server)) return
  const command = psql(server, database, `--set=app=${server.app}`)
  const outcome = await attempt(command, { input: `${LIMIT}${superusersObjects()}\\gexec\n` })
  const hint = 'run it again; for "lock timeout" when less is going on: a session of the site is at work on that table'
  if (outcome.code !== 0) throw failureOf(command, outcome, { what: `giving ${database} to ${server.app}`, hint })
  if (/ERROR: /.test(outcome.stderr))
    throw new Failure(`not all of ${database} could be given to ${server.app}:\n  ${outcome.stderr.trim()}`, { hint })
}

/** What is to be said of the role and the live database; undefined when all is as it should be. */
export async function appRoleTrouble(server: Server) {
  const { app, database } = server
  const superuser = await sql(server, database, `select rolsuper from pg_roles where rolname = :'app'`, { app })
  if (superuser !== 'f') return superuser === 't' ? `the role ${app} is a superuser` : `there is no role ${app} yet`
  const [first = '', ...others] = (await sql(server, database, superusersObjects(), { app })).split('\n')
  return first
    ? `not all in ${database} belongs to ${app}: ` +
        `${first.replace(/^alter (.*) owner to .*$/, '$1')}${others.length > 0 ? ` and ${others.length} more` : ''}`
    : undefined
}
