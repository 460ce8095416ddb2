// The roles, which no dump has: saved as data out of the server's catalogs, and made again by statements that the
// server builds of that data.
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from '../system/checkout.ts'
import { attempt, failureOf } from '../system/run.ts'
import { replaceFile } from '../system/files.ts'
import { asData, psql, type Server, sql } from './server.ts'

const script = (name: string) => readFileSync(join(root, 'postgres', name), 'utf8')

/** Writes the roles of a server to a file, with the verifiers of their passwords. Throws a Failure. */
export async function saveRoles(server: Server, file: string) {
  return replaceFile(file, `${await sql(server, server.database, script('save_roles.sql'))}\n`, 0o600)
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
export async function makeRoles(server: Server, file: string) {
  const command = psql(server, 'postgres', `--set=user=${server.user}`)
  const outcome = await attempt(command, { input: scriptOf(file) })
  if (outcome.code !== 0) throw failureOf(command, outcome, { what: `making the roles of ${file}` })
  return outcome.stderr.split('\n').filter(line => /^(psql:.*)?(ERROR|WARNING): /.test(line))
}
