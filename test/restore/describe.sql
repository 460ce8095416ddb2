-- All of a database that a restore must bring back, as text: the same text, the same database.
\set ON_ERROR_STOP 1
set search_path to '';
select format('select %L, count(*), md5(coalesce(string_agg(t::text, e''\n'' order by t::text), '''')) from only %I.%I t', oid::regclass, relnamespace::regnamespace, relname)
  from pg_class where relkind in ('r', 'm') and relnamespace::regnamespace::text !~ '^(pg_|information_schema)' order by oid::regclass::text \gexec
select 'large object', count(*), md5(string_agg(md5(lo_get(oid)), ',' order by oid)) from pg_largeobject_metadata;
select 'rights', c.oid::regclass, relkind, pg_get_userbyid(relowner), relrowsecurity, (select string_agg(a::text, ',' order by a::text) from unnest(relacl) a)
  from pg_class c where relnamespace::regnamespace::text !~ '^(pg_|information_schema)' order by 2::text;
select 'column rights', attrelid::regclass, attname, attacl from pg_attribute where attacl is not null and attrelid::regclass::text like 'app.%' order by 2::text, 3;
select 'large object rights', lomowner::regrole, lomacl from pg_largeobject_metadata order by oid;
select 'schema', nspname, nspowner::regrole, nspacl from pg_namespace where nspname !~ '^pg_' order by nspname;
select 'default rights', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl from pg_default_acl order by 2::text, 3::text;
select 'policy', polname, polrelid::regclass, polroles::regrole[], pg_get_expr(polqual, polrelid) from pg_policy order by 2;
select 'index', indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid from pg_index where indrelid::regclass::text like 'app.%' order by 2::text;
select 'constraint', conname, conrelid::regclass, pg_get_constraintdef(oid) from pg_constraint where connamespace = 'app'::regnamespace order by 2, 3::text;
select 'trigger', tgname, tgrelid::regclass from pg_trigger where not tgisinternal order by 2, 3::text;
select 'function', oid::regprocedure, md5(prosrc) from pg_proc where pronamespace = 'app'::regnamespace order by 2::text;
select 'sequence', schemaname, sequencename, last_value, start_value, increment_by from pg_sequences order by 2, 3;
select 'comment', objoid::regclass, objsubid, description from pg_description where classoid = 'pg_class'::regclass and objoid::regclass::text like 'app.%' order by 2::text, 3;
select 'comment', description from pg_description where classoid = 'pg_largeobject'::regclass or classoid = 'pg_namespace'::regclass and objoid = 'app'::regnamespace order by 2;
select 'extension', extname, extversion from pg_extension order by 2;
select 'partition', inhrelid::regclass, inhparent::regclass from pg_inherits where inhparent::regclass::text like 'app.%' order by 2::text;
select 'setting', setrole, setconfig from pg_db_role_setting join pg_database d on d.oid = setdatabase where datname = current_database() order by 2;
select 'database', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, datlocale, datconnlimit, shobj_description(oid, 'pg_database'),
  (select string_agg(a::text, ',' order by a::text) from unnest(datacl) a) from pg_database where datname = current_database();
