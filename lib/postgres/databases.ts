// The databases beside the live one: the one that a restore is filling, the former ones that are kept for a way back,
// and the one that is ready to take its place. Their names tell what they are, and when they became it:
// avril_restoring_20261122t030000z, avril_before_20261122t030000z.
import { badConfig } from '../system/errors.ts'
import { psql, rows, type Server, sql } from './server.ts'
import { capture } from '../system/run.ts'
import { timestamp } from '../system/format.ts'

type Kind = 'restoring' | 'before' | 'ready'

export interface Database {
  name: string
  since: Date
  bytes: number
}

/** The database from which others are made, renamed and removed. */
export function maintenance({ database }: Server) {
  return database === 'postgres' ? 'template1' : 'postgres'
}

/** Runs SQL on the server as a whole. */
export function admin(server: Server, text: string, variables: Record<string, string> = {}) {
  return sql(server, maintenance(server), text, variables)
}

/** "20261122t030000z" */
export function databaseStamp(time: Date) {
  return timestamp(time).toLowerCase()
}

/**
 * The name of a database beside the live one. Throws (78) when PostgreSQL, which cuts names at 63 bytes, would not keep
 * all of it.
 */
export function databaseName(live: string, kind: Kind, stamp: string) {
  const name = `${live}_${kind}_${stamp}`
  if (name.length <= 63) return name
  throw badConfig(
    `POSTGRES_DB (${live}) is too long: no name of a database beside it would fit`,
    'PostgreSQL takes 63 characters, and a restore needs 27 of them',
  )
}

/** Since when a database of this name is what its name says; undefined when it is none of these. */
export function sinceOf(live: string, kind: Kind, name: string) {
  const stamp = name.startsWith(`${live}_${kind}_`) ? name.slice(live.length + kind.length + 2) : ''
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)z$/.exec(stamp) ?? []
  const since = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(since.getTime()) ? undefined : since
}

const LIST = `
select json_build_object('name', datname, 'bytes', pg_database_size(oid))
from pg_database where starts_with(datname, :'live' || '_' || :'kind' || '_') order by datname desc
`

/** The databases of a kind, newest first. */
export async function listDatabases(server: Server, kind: Kind): Promise<Database[]> {
  const live = server.database
  const found = await rows<{ name: string; bytes: number }>(server, maintenance(server), LIST, { live, kind })
  return found.flatMap(({ name, bytes }) => {
    const since = sinceOf(live, kind, name)
    return since ? [{ name, bytes, since }] : []
  })
}

export async function databaseExists(server: Server, name: string) {
  return (await admin(server, `select true from pg_database where datname = :'name'`, { name })) === 't'
}

// As the live one is; when somebody has dropped that, as the server makes them.
// Servers before 17 have other columns for the locale.
const CREATION = String.raw`
select format('create database %I template template0 owner %I encoding %L locale_provider %s lc_collate %L lc_ctype %L',
    :'name',
    case datname when :'live' then pg_get_userbyid(datdba) else current_user end,
    pg_encoding_to_char(encoding), provider, datcollate, datctype)
  || case provider when 'icu' then format(' icu_locale %L', locale)
    when 'builtin' then format(' builtin_locale %L', locale) else '' end
  || coalesce(' icu_rules ' || quote_literal(rules), '')
from pg_database d, lateral (select to_jsonb(d) as it) as json,
  lateral (select coalesce(it ->> 'datlocale', it ->> 'daticulocale') as locale, it ->> 'daticurules' as rules,
  case it ->> 'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end as provider) as of_it
where datname in (:'live', 'template1') order by datname = :'live' desc limit 1
`

/** The command that makes an empty database like the live one: owner, encoding, locale. */
export function creationOf(server: Server, name: string) {
  return admin(server, CREATION, { name, live: server.database })
}

/** Makes an empty database like the live one: owner, encoding, locale. */
export function createDatabase(server: Server, name: string) {
  return admin(server, `${CREATION}\\gexec`, { name, live: server.database })
}

// What a dump without --create does not hold. The settings are copied as they are stored: written out as commands some
// of them read differently. Those that are there already are of extensions: postgis_topology sets a search_path.
const ADOPT = String.raw`
delete from pg_db_role_setting using pg_database
  where setdatabase = oid and datname = :'name' and exists (select from pg_database where datname = :'live');
insert into pg_db_role_setting
  select (select oid from pg_database where datname = :'name'), setrole, setconfig
  from pg_db_role_setting join pg_database on setdatabase = pg_database.oid where datname = :'live';
select format('alter database %I connection limit %s', :'name', datconnlimit) from pg_database
  where datname = :'live' \gexec
select format('comment on database %I is %L', :'name', shobj_description(oid, 'pg_database')) from pg_database
  where datname = :'live' \gexec
select format('revoke all on database %I from public, %I', :'name', pg_get_userbyid(datdba)) from pg_database
  where datname = :'live' and datacl is not null \gexec
select format('grant %s on database %I to %s', privilege_type, :'name',
  case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
    || case when is_grantable then ' with grant option' else '' end
from pg_database, aclexplode(datacl) where datname = :'live' \gexec
`

/**
 * Gives a database what the live one has and no dump of it holds: settings of the database and of roles in it, rights,
 * comment, limit of connections.
 */
export function adoptFromLive(server: Server, name: string) {
  return capture(
    psql(
      server,
      maintenance(server),
      '--single-transaction',
      '--file=-',
      `--set=name=${name}`,
      `--set=live=${server.database}`,
    ),
    { input: ADOPT, what: "copying the database's settings" },
  )
}

/** Removes a database, and ends whoever is connected to it. */
export function dropDatabase(server: Server, name: string) {
  return admin(server, 'drop database if exists :"name" with (force)', { name })
}
