-- The roles, what they are members of, their settings and their rights to settings of the server, as one JSON document.
-- No dump has them. A server before 15 grants no rights to settings, and has no such table.
\set rights '[]'
select to_regclass('pg_catalog.pg_parameter_acl') is not null as has_rights \gset
\if :has_rights
select coalesce(jsonb_agg(jsonb_build_object('role', rolname, 'parameter', parname, 'right', privilege_type, 'grantable', is_grantable) order by rolname, parname), '[]') as rights
  from pg_parameter_acl, aclexplode(paracl) join pg_authid on grantee = oid where rolname not like 'pg\_%' and rolname <> current_user \gset
\endif
with own as (select * from pg_authid where rolname not like 'pg\_%')
select jsonb_pretty(jsonb_build_object(
  'version', 1,
  'roles', (select coalesce(jsonb_agg(jsonb_build_object(
      'name', rolname, 'superuser', rolsuper, 'inherit', rolinherit, 'createrole', rolcreaterole, 'createdb', rolcreatedb, 'login', rolcanlogin, 'replication', rolreplication,
      'bypassrls', rolbypassrls, 'connections', rolconnlimit, 'password', rolpassword, 'until', rolvaliduntil, 'comment', shobj_description(oid, 'pg_authid')) order by rolname), '[]')
    from own),
  -- In the order in which they were made: who grants what was granted to him comes later. Until 16 there was but one
  -- kind of membership.
  'memberships', (select coalesce(jsonb_agg(jsonb_build_object(
      'role', of.rolname, 'member', member.rolname, 'grantor', grantor.rolname, 'admin', admin_option,
      'inherit', coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, member.rolinherit), 'set', coalesce((to_jsonb(m) ->> 'set_option')::boolean, true))
      order by (to_jsonb(m) ->> 'oid')::bigint), '[]')
    from pg_auth_members m join pg_authid of on m.roleid = of.oid join own member on m.member = member.oid left join pg_authid grantor on m.grantor = grantor.oid),
  'settings', (select coalesce(jsonb_agg(jsonb_build_object('role', rolname, 'settings', setconfig) order by rolname), '[]')
    from pg_db_role_setting join own on setrole = oid where setdatabase = 0),
  'rights', (:'rights')::jsonb
));
