-- One text that changes when the structure of the database changes: tables, columns, defaults, checks, indexes, views,
-- functions, triggers, types, policies, rights, roles.
select md5(string_agg(it, E'\n' order by it)) from (
  select format('%s %s %s %s %s %s', c.oid::regclass, relkind, attname, atttypid, atttypmod, attnotnull) as it
    from pg_class c join pg_attribute on attrelid = c.oid and attnum > 0 and not attisdropped where c.oid >= 16384 and relpersistence <> 't' and relkind <> 't'
      and relnamespace::regnamespace::text not like 'pg\_t%'
  union all select format('%s %s', conrelid, pg_get_constraintdef(oid)) from pg_constraint where oid >= 16384
  union all select format('%s %s', indexrelid::regclass, pg_get_indexdef(indexrelid)) from pg_index where indexrelid >= 16384 and indrelid in (select oid from pg_class where relkind <> 't' and relpersistence <> 't')
  union all select format('%s %s', oid::regprocedure, md5(prosrc)) from pg_proc where oid >= 16384
  union all select format('%s %s', oid, tgname) from pg_trigger where not tgisinternal
  union all select format('%s %s', oid, typname) from pg_type where oid >= 16384 and typtype in ('e', 'd', 'r')
  union all select format('%s %s', enumtypid, enumlabel) from pg_enum
  union all select format('%s %s', oid, md5(pg_get_viewdef(oid))) from pg_class where oid >= 16384 and relkind in ('v', 'm') and relpersistence <> 't'
  union all select format('%s %s %s', adrelid, adnum, pg_get_expr(adbin, adrelid)) from pg_attrdef where adrelid >= 16384
  union all select format('%s %s', polrelid, to_jsonb(p)) from pg_policy p
  union all select format('%s %s %s', oid, relowner, relacl) from pg_class where oid >= 16384 and relkind <> 't' and relpersistence <> 't'
  union all select format('%s %s %s', oid, nspowner, nspacl) from pg_namespace where nspname not like 'pg\_t%'
  union all select format('%s %s', oid, rolname) from pg_roles) as all_of_it(it)
