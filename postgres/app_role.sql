-- Makes the role that phoenix logs in as, :"app": no superuser. Its password is the column "text" of the table "given".
-- Run in the site's database. A role that is made now takes the place of :"user", whom phoenix was until then: it gets
-- what was set for that one, what others had through it, and what belongs to roles that are no superusers.
set log_min_error_statement = panic;
set log_statement = none;
-- An error would show the line that it is in.
\set VERBOSITY terse
select not exists (select from pg_roles where rolname = :'app') as new \gset
\if :new
  select format('create role %I', :'app') \gexec
  insert into pg_db_role_setting
    select setdatabase, (select oid from pg_roles where rolname = :'app'), setconfig from pg_db_role_setting join pg_roles on setrole = pg_roles.oid where rolname = :'user';
  -- "$user" was the schema of that name.
  select format('alter role %I in database %I set search_path = %I, public', :'app', current_database(), :'user')
  where exists (select from pg_namespace where nspname = :'user')
    and not exists (select from pg_db_role_setting, unnest(setconfig) as it where setdatabase in (0, (select oid from pg_database where datname = current_database())) and it ~ '^search_path=') \gexec
  select format('grant %I to %I', :'app', pg_get_userbyid(member)) from pg_auth_members join pg_roles on roleid = pg_roles.oid
  where rolname = :'user' and not pg_has_role(:'app', member, 'member') \gexec
  select format('grant %I to %I', owner.rolname, :'app')
  from pg_roles as owner
  where not rolsuper and rolname !~ '^pg_' and rolname <> :'app' and not pg_has_role(owner.oid, :'app', 'member')
    and exists (select from pg_shdepend where dbid = (select oid from pg_database where datname = current_database()) and refclassid = 'pg_authid'::regclass and refobjid = owner.oid and deptype = 'o') \gexec
\endif
select format('alter role %I with login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls password %L', :'app', text) from given \gexec
