-- What belongs to a superuser in this database, as statements that give it to :"app", one a row: REASSIGN OWNED refuses
-- the first superuser, who owns the server's own objects too. Extensions and what is part of them stay, and what only a
-- superuser may own.
with superusers as (select oid from pg_roles where rolsuper and rolname <> :'app'), owned as (
  select 'pg_namespace'::regclass as class, oid, nspowner as owner from pg_namespace
  where (oid >= 16384 and nspname !~ '^pg_' or nspname = 'public')
    and not exists (select from pg_depend where classid = 'pg_extension'::regclass and refclassid = 'pg_namespace'::regclass and refobjid = pg_namespace.oid and nspname <> 'public')
  union all select 'pg_class'::regclass, oid, relowner from pg_class
  where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and relpersistence <> 't'
    -- The sequence of a column goes with its table.
    and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and refclassid = 'pg_class'::regclass and deptype in ('a', 'i') and relkind = 'S')
  union all select 'pg_type'::regclass, pg_type.oid, typowner from pg_type left join pg_class on typrelid = pg_class.oid
  where coalesce(relkind, 'c') = 'c' and typtype <> 'm' and not exists (select from pg_type as element where element.typarray = pg_type.oid)
  -- What an event trigger calls runs with the rights of whoever changes a definition.
  union all select 'pg_proc'::regclass, oid, proowner from pg_proc where prorettype <> 'event_trigger'::regtype
  union all select 'pg_operator'::regclass, oid, oprowner from pg_operator
  union all select 'pg_opclass'::regclass, oid, opcowner from pg_opclass
  union all select 'pg_opfamily'::regclass, oid, opfowner from pg_opfamily
  union all select 'pg_collation'::regclass, oid, collowner from pg_collation
  union all select 'pg_conversion'::regclass, oid, conowner from pg_conversion
  union all select 'pg_statistic_ext'::regclass, oid, stxowner from pg_statistic_ext
  union all select 'pg_ts_dict'::regclass, oid, dictowner from pg_ts_dict
  union all select 'pg_ts_config'::regclass, oid, cfgowner from pg_ts_config
  union all select 'pg_largeobject'::regclass, oid, lomowner from pg_largeobject_metadata
), found as (
  select 1 as number, case type when 'statistics object' then 'statistics' when 'function' then 'routine' when 'procedure' then 'routine' when 'aggregate' then 'routine' else type end as type, identity
  from owned, pg_identify_object(class, oid, 0)
  where (oid >= 16384 or class in ('pg_namespace'::regclass, 'pg_largeobject'::regclass)) and owner in (table superusers)
    and coalesce(schema, '') !~ '^pg_(temp|toast)'
    and not exists (select from pg_depend where classid = class and objid = oid and deptype in ('e', 'i'))
  union all select 0, 'database', quote_ident(datname) from pg_database where datname = current_database() and datdba in (table superusers)
), defaults as (
  -- What a superuser had granted on objects to come, :"app" grants on those that it will make.
  select format('alter default privileges for role %I', :'app') || coalesce(' in schema ' || quote_ident(nspname), '') as command, nspname, defaclacl,
    case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' when 'L' then 'large objects' end as objects
  from pg_default_acl it left join pg_namespace on pg_namespace.oid = defaclnamespace
  where defaclrole in (table superusers) and not exists (
    select from pg_default_acl join pg_roles on defaclrole = pg_roles.oid
    where rolname = :'app' and (defaclnamespace, defaclobjtype) = (it.defaclnamespace, it.defaclobjtype))
), statements as (
  select number, format('alter %s %s owner to %I', type, identity, :'app') as statement from found
  union all select 2, format('%s revoke all on %s from public', command, objects) from defaults where nspname is null
  union all select 3, format('%s grant %s on %s to %s', command, privilege_type, objects, case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
    || case when is_grantable then ' with grant option' else '' end
  from defaults, aclexplode(defaclacl) where grantee <> grantor
)
select statement from statements where exists (select from pg_roles where rolname = :'app') order by number, statement
