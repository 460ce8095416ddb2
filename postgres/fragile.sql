-- Objects that a restore computes (indexes, generated columns, checks, materialized views) by a function that names
-- something without its schema, itself or in a function that it calls: as JSON, one a line. The bodies are only read,
-- by the words in them; a body that PostgreSQL keeps parsed has no text, and no such fault.
with recursive site as (
  select pg_proc.oid, proname, prosrc, proconfig from pg_proc join pg_namespace n on n.oid = pronamespace join pg_language l on l.oid = prolang
  where nspname <> 'pg_catalog' and lanname not in ('c', 'internal')
), used as (
  select distinct pg_describe_object(classid, objid, objsubid) as object, refobjid as function
  from pg_depend
  where refclassid = 'pg_proc'::regclass and refobjid in (select oid from site) and (
    classid = 'pg_class'::regclass and objid in (select indexrelid from pg_index)
    or classid = 'pg_constraint'::regclass
    or classid = 'pg_attrdef'::regclass and objid in (select d.oid from pg_attrdef d join pg_attribute on attrelid = adrelid and attnum = adnum where attgenerated <> '')
    or classid = 'pg_rewrite'::regclass and objid in (select r.oid from pg_rewrite r join pg_class c on c.oid = ev_class where relkind = 'm'))
), calls as (
  select oid as function, it[1] = '.' as qualified, lower(it[2]) as word, 'function' as kind
  from site, regexp_matches(prosrc, '(\.?)\s*\m([[:alpha:]_][\w$]*)\s*\(', 'g') as it
), reached as (
  select object, function from used
  union
  select object, oid from reached join calls using (function) join site on proname = word
  -- What sets its search_path hands it on to what it calls.
  where not exists (select from site as caller, unnest(caller.proconfig) as it where caller.oid = reached.function and starts_with(it, 'search_path='))
), words as (
  select function, word, kind from calls where not qualified
  union all
  select oid, lower(it[1]), 'type' from site, regexp_matches(prosrc, '::\s*([[:alpha:]_][\w$]*)(?![.\w$])', 'g') as it
  union all
  select oid, lower(it[1]), 'table' from site, regexp_matches(prosrc, '\m(?:from|join)\s+([[:alpha:]_][\w$]*)(?!\s*[.(]|[\w$])', 'gi') as it
), names as (
  select 'function' as kind, proname as name, pronamespace as schema from pg_proc
  union all select 'type', typname, typnamespace from pg_type where typrelid = 0
  union all select 'table', relname, relnamespace from pg_class
)
select json_build_object('object', object, 'function', function::regprocedure, 'word', min(word))
from reached join words using (function) join site on site.oid = function
where not exists (select from unnest(proconfig) as it where starts_with(it, 'search_path='))
  and exists (select from names join pg_namespace n on n.oid = schema where names.kind = words.kind and name = word and nspname !~ '^(pg_|information_schema$)')
  and not exists (select from names where names.kind = words.kind and name = word and schema = 'pg_catalog'::regnamespace)
group by object, function order by object, function;
