-- What a stranger can put into a dump, to be run where it is restored: each of it is named, by the words in restore.bats.
create extension pg_trgm;
create table public.victims (id int, label text, made text default 'x');
insert into public.victims select n, 'victim ' || n from generate_series(1, 10) n;
comment on table public.victims is 'This will be made a command of the same length, which no pg_dump would ever have written.';

-- Whoever restores is superuser, so this runs a program.
create function public.act() returns void language plpgsql as $$begin copy (select 1) to program 'cat >>/tmp/hostile'; end$$;
create function public.on_index(text) returns text immutable language plpgsql as $$begin perform public.act(); return $1; end$$;
create index by_program on public.victims (public.on_index(label));
create function public.on_view() returns int language sql as 'select 1';
create view public.between as select public.on_view() as n;
create materialized view public.seen as select * from public.between;
create function public.on_check(text) returns boolean language plpgsql as $$begin return true; end$$;
create domain public.checked as text check (public.on_check(value));
create table public.more (id int, a public.checked);
create function public.on_generated(int) returns int immutable language sql as 'select $1 + 1';
alter table public.more add b int generated always as (public.on_generated(id)) stored;
create function public.on_default() returns int language sql as 'select 1';
alter table public.more add c int default public.on_default();
create function public.on_write() returns trigger language plpgsql as 'begin return new; end';
create trigger written before insert on public.more for each row execute function public.on_write();
create function public.on_operator(text, text) returns boolean immutable language sql as 'select $1 = $2';
create operator public.=== (leftarg = text, rightarg = text, function = public.on_operator);
create index by_operator on public.victims (label) where label operator(public.===) 'x';
create function public.on_statistics(int) returns int immutable language sql as 'select $1';
create statistics public.counted on (public.on_statistics(id)), label from public.victims;
create function public.on_partition(int) returns int immutable language sql as 'select $1';
create table public.parts (id int) partition by list (public.on_partition(id));
create function public.on_commands() returns event_trigger language plpgsql as 'begin end';
create event trigger commanded on ddl_command_end execute function public.on_commands();
create function public.in_c() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create language stranger handler public.in_c;
create function public.not_called() returns int language sql as 'select 1';
