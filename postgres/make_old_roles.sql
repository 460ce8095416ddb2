-- Makes the roles of a pg_dumpall --globals-only, which older sets have, from the column "text" of the table "given".
-- It is split by SQL's own rules, and only what has, as a whole, one of the forms that pg_dumpall writes for a role is
-- given to the server. What is refused or of another form stands on standard error, and the rest is made.
set log_min_error_statement = panic;
set log_statement = none;
create temp table statements (number int generated always as identity, text text, form text, role text);
do $$
declare
  rest text := (select text from given);
  part text;
begin
  loop
    rest := ltrim(rest, E' \t\r\n');
    exit when rest = '';
    -- A comment; or a command of psql's, which pg_dumpall writes at the beginning and at the end.
    part := substring(rest from '^(?:--[^\n]*|\\(?:un)?restrict [[:alnum:]]+|\\connect [^\n]*)');
    if part is null then
      part := substring(rest from $re$^(?:'(?:[^']|'')*'|"[^"]*"|[^;'"\\])+;$re$);
      if part is null then raise exception 'the roles cannot be read from here on: %', left(rest, 60); end if;
      insert into statements (text) values (rtrim(part, ';'));
    end if;
    rest := substr(rest, length(part) + 1);
  end loop;
end $$;

create temp table forms (form text, pattern text);
insert into forms select form, '^' || replace(replace(replace(pattern, 'LITERAL', $re$(?:E'(?:[^'\\]|''|\\\\)*'|'(?:[^'\\]|'')*')$re$),
  'NAME', '(?:"(?:[^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)'), ' ', '\s+') || '$'
from (values
  ('create', 'CREATE ROLE (NAME)'),
  ('alter', 'ALTER ROLE (NAME) WITH(?: (?:NO)?(?:SUPERUSER|INHERIT|CREATEROLE|CREATEDB|LOGIN|REPLICATION|BYPASSRLS)| CONNECTION LIMIT -?\d+| PASSWORD LITERAL| VALID UNTIL LITERAL)+'),
  ('comment', 'COMMENT ON ROLE (NAME) IS LITERAL'),
  ('set', 'ALTER ROLE (NAME) SET NAME(?:\.NAME)* TO (?:LITERAL|NAME|-?[\d.]+)(?:, (?:LITERAL|NAME|-?[\d.]+))*'),
  ('grant', 'GRANT NAME TO (NAME)(?: WITH (?:ADMIN|INHERIT|SET) (?:OPTION|TRUE|FALSE)(?:, (?:ADMIN|INHERIT|SET) (?:OPTION|TRUE|FALSE))*)?(?: GRANTED BY NAME)?'),
  ('parameter', 'GRANT (?:SET|ALTER SYSTEM|ALL)(?: PRIVILEGES)? ON PARAMETER NAME(?:\.NAME)* TO (NAME)(?: WITH GRANT OPTION)?')
) as f (form, pattern);
update statements s set (form, role) = (select f.form, (regexp_match(s.text, f.pattern))[1] from forms f where s.text ~ f.pattern);
update statements set role = replace(trim(both '"' from role), '""', '"') where starts_with(role, '"');
do $$
declare it record;
begin
  for it in select left(text, 60) as words from statements where form is null and text !~ '^SET ' loop raise warning 'left out: %', it.words; end loop;
end $$;
\set ON_ERROR_STOP 0

-- Whoever granted something may not be able to here, or may have another name.
select case form when 'grant' then regexp_replace(text, '\s+GRANTED\s+BY\s+(?:"(?:[^"]|"")+"|[^\s"]+)$', '') else text end from statements
where form is not null and not (role = :'user' and form in ('create', 'alter')) order by number \gexec
