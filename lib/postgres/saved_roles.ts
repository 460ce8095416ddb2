// The roles, which no dump has: saved as data out of the server's catalogs, and made again by statements that the
// server builds of that data.
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from '../system/checkout.ts'
import { attempt, failureOf } from '../system/run.ts'
import { replaceFile } from '../system/files.ts'
import { asData, psql, type Server, sql } from './server.ts'

const script = (name: string) => readFileSync(join(root, 'postgres', name), 'utf8')

/** The roles of a server with the verifiers of their passwords, as JSON. Throws a Failure. */
const rolesOf = (server: Server) => sql(server, server.database, script('save_roles.sql'))

/** Writes the roles of a server to a file, with the verifiers of their passwords. Throws a Failure. */
export async function saveRoles(server: Server, file: string) {
  return replaceFile(file, `${await rolesOf(server)}\n`, 0o600)
}

/** SQL that makes the roles of a file: of roles.json, or of the globals.sql of an older set. */
export function scriptOf(file: string) {
  return (
    asData(readFileSync(file, 'utf8')) +
    script(basename(file).endsWith('.json') ? 'make_roles.sql' : 'make_old_roles.sql')
  )
}

/**
 * Makes the roles of a file that the server lacks, and gives what it said against some of them. Throws a Failure for a
 * file that holds no roles.
 */
export function makeRoles(server: Server, file: string) {
  return make(server, scriptOf(file), file)
}

// The superuser is there already, with the password of .env; it gets the one that it has.
const PASSWORD = `
select format('alter role %I password %L', name, password)
from given, jsonb_to_recordset(text::jsonb -> 'roles') as r(name text, password text)
  where name = :'user' and password is not null \\gexec
`

/** Makes the roles of one server in another, with their passwords, and gives what it said against some of them. */
export async function copyRoles(from: Server, to: Server) {
  const roles = await rolesOf(from)
  return make(to, asData(roles) + script('make_roles.sql') + PASSWORD, from.name)
}

const make = async (server: Server, input: string, from: string) => {
  const command = psql(server, 'postgres', `--set=user=${server.user}`)
  const outcome = await attempt(command, { input })
  if (outcome.code !== 0) throw failureOf(command, outcome, { what: `making the roles of ${from}` })
  return outcome.stderr.split('\n').filter(line => /^(psql:.*)?(ERROR|WARNING): /.test(line))
}
