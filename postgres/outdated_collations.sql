-- What of the database it runs in was sorted by another version of a library, as one JSON document; nothing when there
-- is none. A server before 15 notes no version of a database. The catalogs have collations of their own, whose order
-- never changes.
select current_setting('server_version_num')::int >= 150000 as notes \gset
\if :notes
select coalesce(datcollversion, '') as was, coalesce(pg_database_collation_actual_version(oid), '') as now from pg_database where datname = current_database() \gset
\else
\set was ''
\set now ''
\endif
with changed as (
  select oid, format('%s (%s, now %s)', oid::regcollation, collversion, pg_collation_actual_version(oid)) as text, format('alter collation %s refresh version', oid::regcollation) as refresh
  from pg_collation where collversion <> pg_collation_actual_version(oid)
  union all
  select 'default'::regcollation, format('the default (%s, now %s)', nullif(:'was', ''), nullif(:'now', '')), format('alter database %I refresh collation version', current_database())
  where nullif(:'was', '') <> nullif(:'now', ''))
select json_build_object('database', current_database(), 'collations', (select coalesce(json_agg(text), '[]') from changed), 'refresh', (select coalesce(json_agg(refresh), '[]') from changed),
  'indexes', (select coalesce(json_agg(indexrelid::regclass::text order by indexrelid), '[]') from pg_index join pg_class on oid = indexrelid
    where relkind = 'i' and relpersistence <> 't' and exists (select from unnest(indcollation::oid[]) as used join changed on changed.oid = used)))
where exists (select from changed)
