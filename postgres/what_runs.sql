-- What in a database that a dump was restored into ran meanwhile, or runs with what is written later: a line of text
-- each, the most powerful first. What an extension brings counts as that extension; what PostgreSQL brings does not
-- count.
with recursive of_extensions as (select classid, objid from pg_depend where deptype = 'e'),
own as (
  select pg_proc.oid, format('function %s in %s', pg_proc.oid::regprocedure, lanname) as name, lanname in ('c', 'internal') or not lanpltrusted as unlimited
  from pg_proc join pg_language l on l.oid = prolang
  where pg_proc.oid >= 16384 and ('pg_proc'::regclass, pg_proc.oid) not in (table of_extensions)
), computed (classid, objid) as (
  select 'pg_class'::regclass, indexrelid from pg_index
  union all select 'pg_class'::regclass, partrelid from pg_partitioned_table
  union all select 'pg_rewrite'::regclass, r.oid from pg_rewrite r join pg_class c on c.oid = ev_class where relkind = 'm'
  union all select 'pg_constraint'::regclass, oid from pg_constraint
  union all select 'pg_attrdef'::regclass, oid from pg_attrdef
  union all select 'pg_trigger'::regclass, oid from pg_trigger where not tgisinternal
  union all select 'pg_event_trigger'::regclass, oid from pg_event_trigger
  union all select 'pg_type'::regclass, oid from pg_type where typtype in ('b', 'r', 'm') and typelem = 0
  union all select 'pg_amproc'::regclass, oid from pg_amproc
  union all select 'pg_statistic_ext'::regclass, oid from pg_statistic_ext
), reached (by_class, by_id, classid, objid) as (
  select classid, objid, classid::oid, objid from computed where objid >= 16384 and (classid, objid) not in (table of_extensions)
  union
  select by_class, by_id, it.* from reached cross join lateral (
    select refclassid, refobjid from pg_depend d left join pg_class c on refclassid = 'pg_class'::regclass and c.oid = refobjid
    where (d.classid, d.objid) = (reached.classid, reached.objid) and refobjid >= 16384
      and (refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_type'::regclass) or relkind = 'v')
    union all
    select 'pg_rewrite'::regclass, oid from pg_rewrite where reached.classid = 'pg_class'::regclass and ev_class = reached.objid) it
), called as (
  select reached.objid, case by_class when 'pg_rewrite'::regclass then (select 'materialized view ' || ev_class::regclass from pg_rewrite where oid = by_id) else pg_describe_object(by_class, by_id, 0) end as by
  from reached where classid = 'pg_proc'::regclass
)
select to_json(text) from (
  select 1 as rank, format('language %s', lanname) as text from pg_language where oid >= 16384 and ('pg_language'::regclass, oid) not in (table of_extensions)
  union all
  select case when unlimited then 2 else 3 end,
    name || case when unlimited then ', which has all rights in the container' else '' end
         || coalesce(', called by ' || min(by) || case count(by) when 1 then '' else format(' and %s more', count(by) - 1) end, '')
  from own left join (select distinct objid, by from called) called on objid = oid group by oid, name, unlimited having unlimited or count(by) > 0
  union all select 4, format('foreign server %s (%s)', srvname, array_to_string(srvoptions, ', ')) from pg_foreign_server
  union all select 5, format('extension %s %s', extname, extversion) from pg_extension where extname <> 'plpgsql'
  union all
  select 6, format('functions that only others can call: %s', count(*)) from own where not unlimited and oid not in (select objid from called) having count(*) > 0
) it order by rank, text;
