-- Makes the roles of a document that save_roles.sql made, which is the column "text" of the table "given". It is data:
-- every statement is built by the server, with each name and text quoted. What is there already stays, and the password
-- of :"user" with it. What the server refuses stands on standard error, and the rest is made.
set log_min_error_statement = panic;
set log_statement = none;
create temp table document as select text::jsonb as it from given;
create temp table roles as select r.* from document, jsonb_to_recordset(it -> 'roles') as r(name text, superuser boolean, inherit boolean, createrole boolean, createdb boolean,
  login boolean, replication boolean, bypassrls boolean, connections int, password text, until timestamptz, comment text);
create temp table memberships as select row_number() over () as number, m.*
  from document, jsonb_to_recordset(it -> 'memberships') as m(role text, member text, grantor text, admin boolean, inherit boolean, "set" boolean);
create temp table settings as select s.* from document, jsonb_to_recordset(it -> 'settings') as s(role text, settings text[]);
create temp table rights as select r.* from document, jsonb_to_recordset(it -> 'rights') as r(role text, parameter text, "right" text, grantable boolean);
create temp table new as select name from roles where name <> :'user';
\set ON_ERROR_STOP 0

select format('create role %I', name) from new where not exists (select from pg_roles where rolname = name) \gexec
select format('alter role %I with %s connection limit %s%s', name, array_to_string(array[
    case when superuser then 'superuser' else 'nosuperuser' end, case when inherit then 'inherit' else 'noinherit' end,
    case when createrole then 'createrole' else 'nocreaterole' end, case when createdb then 'createdb' else 'nocreatedb' end,
    case when login then 'login' else 'nologin' end, case when replication then 'replication' else 'noreplication' end,
    case when bypassrls then 'bypassrls' else 'nobypassrls' end], ' '), coalesce(connections, -1), ' valid until ' || quote_literal(until))
from roles natural join new \gexec
select format('alter role %I password %L', name, password) from roles natural join new where password is not null \gexec
select format('comment on role %I is %L', name, comment) from roles where comment is not null \gexec

-- What others granted is granted in their name, once they have the right to. What the superuser granted who made that
-- server, the one who made this server grants.
\set grants 'format(''grant %I to %I with admin %s, inherit %s, set %s'', role, member, coalesce(admin, false)::text, coalesce(inherit, true)::text, coalesce("set", true)::text)'
\set by_others 'exists (select from memberships own where own.role = wanted.role and own.member = wanted.grantor and own.admin)'
select :grants from memberships wanted where not :by_others \gexec
select :grants || format(' granted by %I', grantor) from memberships wanted where :by_others order by number \gexec

select format('grant %s on parameter %s to %I', "right", (select string_agg(quote_ident(part), '.') from string_to_table(parameter, '.') part), role)
  || case when grantable then ' with grant option' else '' end
from rights where "right" in ('SET', 'ALTER SYSTEM') \gexec

-- As they are stored: written as commands some of them would read differently, or be refused because something that
-- they name is not there yet.
insert into pg_db_role_setting (setdatabase, setrole, setconfig)
select 0, pg_roles.oid, array(select it from unnest(settings) it where it ~ '^[A-Za-z_][A-Za-z0-9_$.]*=')
from settings join pg_roles on rolname = role where not exists (select from pg_db_role_setting where setdatabase = 0 and setrole = pg_roles.oid);
