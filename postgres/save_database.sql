-- What a dump of the database :"name" does not hold of it, as one JSON document: how it is made, settings, rights,
-- comment, limit of connections. Servers before 17 have other columns for the locale, or none.
select json_build_object(
  'name', datname, 'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
  'provider', case it ->> 'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end, 'collate', datcollate, 'ctype', datctype,
  'locale', coalesce(it ->> 'datlocale', it ->> 'daticulocale'), 'rules', it ->> 'daticurules',
  'connections', datconnlimit, 'comment', shobj_description(oid, 'pg_database'),
  'settings', (select coalesce(json_agg(json_build_object('role', rolname, 'settings', setconfig)), '[]')
    from pg_db_role_setting left join pg_roles on pg_roles.oid = setrole where setdatabase = d.oid and (setrole = 0 or rolname is not null)),
  'rights', (select json_agg(json_build_object('role', rolname, 'public', grantee = 0, 'right', privilege_type, 'grantable', is_grantable))
    from aclexplode(datacl) left join pg_roles on pg_roles.oid = grantee where grantee = 0 or rolname is not null))
from pg_database d, lateral (select to_jsonb(d) as it) as json where datname = :'name';
