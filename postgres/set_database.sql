-- Gives the database that the column "text" of the table "given" describes (save_database.sql) what no dump holds of
-- it. The settings are copied as they are stored: written as commands some of them would read differently. Those that
-- are there already are of extensions.
create temp table described as
select it.*, pg_database.oid from given, json_to_record(text::json) as it(name text, owner text, connections int, comment text, settings json, rights json), pg_database where datname = name;
delete from pg_db_role_setting using described where setdatabase = oid;
insert into pg_db_role_setting (setdatabase, setrole, setconfig)
select described.oid, coalesce(pg_roles.oid, 0), array(select it from unnest(s.settings) it where it ~ '^[A-Za-z_][A-Za-z0-9_$.]*=')
from described, json_to_recordset(described.settings) as s(role text, settings text[]) left join pg_roles on rolname = s.role where s.role is null or rolname is not null;
select format('alter database %I connection limit %s', name, connections) from described \gexec
select format('comment on database %I is %L', name, comment) from described \gexec
select format('revoke all on database %I from public, %I', name, owner) from described where json_typeof(rights) = 'array' \gexec
select format('grant %s on database %I to %s', "right", name, case when public then 'public' else quote_ident(role) end) || case when grantable then ' with grant option' else '' end
from described, json_to_recordset(case json_typeof(rights) when 'array' then rights else '[]' end) as r(role text, public boolean, "right" text, grantable boolean)
where "right" in ('CREATE', 'CONNECT', 'TEMPORARY') \gexec
