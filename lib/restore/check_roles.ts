// The roles that a dump needs: its owners, and those who have rights in it. They are not in it, and a restore stops at
// the first that is missing.
import { Failure } from '../system/errors.ts'
import { admin } from '../postgres/databases.ts'
import { inServer, type Server } from '../postgres/server.ts'
import { capture } from '../system/run.ts'

export interface RoleOptions {
  /** everything belongs to the user of the site */
  noOwner: boolean
  /** without the rights in it */
  noAcl: boolean
}

/** pg_restore's words for them. */
export function roleFlags({ noOwner, noAcl }: RoleOptions) {
  return [...(noOwner ? ['--no-owner'] : []), ...(noAcl ? ['--no-acl'] : [])]
}

// Of pg_restore's script: the line that begins each entry, and the commands that name roles in entries that are nothing
// but such commands. A body of a function can hold the same words, in an entry of another type.
const LINES = String.raw`
  /^-- (Data for )?Name: .*; Type: .*; Schema: .*; Owner: / {
    print; kind = $0; sub(/.*; Type: /, "", kind); sub(/;.*/, "", kind); next
  }
  kind ~ /ACL$/ && /^(GRANT|ALTER DEFAULT PRIVILEGES|SET SESSION AUTHORIZATION) / { print; next }
  kind == "POLICY" && /^CREATE POLICY / { print }
`
const IDENTIFIER = String.raw`(?:"(?:[^"]|"")+"|[^\s",;]+)`
const GRANTEE = new RegExp(
  String.raw`(?: TO | FOR ROLE |^SET SESSION AUTHORIZATION )(${IDENTIFIER}(?:, ${IDENTIFIER})*)(?= (?:USING|WITH|IN|GRANT|REVOKE) |;| \(|$)`,
  'g',
)

const bare = (identifier: string) =>
  identifier.startsWith('"') ? identifier.slice(1, -1).replaceAll('""', '"') : identifier

/** The roles in those lines. */
export function rolesIn(lines: string[]) {
  const found = lines.flatMap(line => {
    const owner = /^-- .*; Owner: (.*)$/.exec(line)?.[1]
    if (owner !== undefined) return owner === '-' ? [] : [owner]
    const [command = ''] = line.startsWith('CREATE POLICY ') ? line.split(/ (?:USING|WITH CHECK) \(/) : [line]
    return [...command.matchAll(GRANTEE)].flatMap(([, list = '']) =>
      (list.match(new RegExp(IDENTIFIER, 'g')) ?? []).map(bare),
    )
  })
  return [...new Set(found)].filter(role => !['', 'public', 'PUBLIC'].includes(role)).toSorted()
}

/** Throws a Failure when the server lacks a role that a dump (a path inside the server) needs. */
export async function checkRoles(server: Server, inside: string, options: RoleOptions) {
  const shell = 'set -o pipefail; pg_restore --schema-only --file=- "${@:2}" "$1" | awk "$0"'
  const script = await capture(inServer(server, 'bash', '-c', shell, LINES, inside, ...roleFlags(options)))
  const there = new Set((await admin(server, 'select rolname from pg_roles')).split('\n'))
  const missing = rolesIn(script.split('\n')).filter(role => !there.has(role))
  if (missing.length === 0) return
  throw new Failure(
    `this server has no role ${missing.join(', ')}, and the dump needs ${missing.length === 1 ? 'it' : 'them'}`,
    {
      hint:
        "nothing was touched; create what is missing (a backup set's roles.json lists it), or restore with " +
        '--no-owner --no-acl',
    },
  )
}
