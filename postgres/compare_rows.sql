-- Reads lines like 3 COPY public."Odd (name" (id, "a column") FROM stdin; and prints the tables that have another
-- number of rows. Those of an extension come with it, and the dump holds only what was added to them.
create temp table line (rows bigint, copy text);
\copy line from pstdin with (format csv, delimiter E'\x01', quote E'\x02')

-- One line for each partition names the same table, if they were dumped through it.
create temp table expected (name regclass not null, rows bigint);
insert into expected
select substring(copy from '^COPY ((?:"(?:[^"]|"")+"|[^". ]+)\.(?:"(?:[^"]|"")+"|[^". ]+)) ')::regclass, sum(rows) from line group by 1;

select format('select %L || n || %L from (select count(*) as n from %s %s) as it where n <> %s',
  name || ' has ', format(' rows, in the dump it has %s', rows), case relkind when 'p' then '' else 'only' end, name, rows)
from expected join pg_class on oid = name
where not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = name and deptype = 'e')
\gexec
