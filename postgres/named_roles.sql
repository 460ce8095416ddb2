-- The roles that lines of pg_restore's script name (the column "text" of the table "given"), and that are not here: the
-- owner in a line that begins an entry, and whom the commands give rights to.
with line as (
  select regexp_replace(it, case when it ~ '^CREATE POLICY ' then ' (USING|WITH CHECK) \(.*' else '$' end, '') as line
  from given, regexp_split_to_table(text, '\n') as it
), named as (
  select substring(line from '; Owner: (.*)$') as name from line where starts_with(line, '-- ')
  union
  select ident[1] from line,
    regexp_matches(line, '(?: TO | FOR ROLE |^SET SESSION AUTHORIZATION )((?:"(?:[^"]|"")+"|[^\s",;]+)(?:, (?:"(?:[^"]|"")+"|[^\s",;]+))*)', 'g') as list,
    regexp_matches(list[1], '"(?:[^"]|"")+"|[^\s",;]+', 'g') as word, parse_ident(word[1]) as ident
  where not starts_with(line, '-- ')
)
select name from named where name not in ('', '-', 'public', 'PUBLIC') and not exists (select from pg_roles where rolname = name) order by 1;
