-- The options that give a session the server's own settings, as PGOPTIONS takes them: whatever is set for a role or a
-- database is overruled, no limit of time holds, no trigger of a login or of a definition runs, and it is told in
-- English what went wrong, which is read. :"role" may be whose session it is, if it is another's: what he may not set
-- is left out. PostgreSQL has this one from 17 on.
\set ON_ERROR_STOP off
set transaction_timeout = 0;
\set ON_ERROR_STOP on
\if :{?role}
\else
\set role :USER
\endif
select concat_ws(' ', '-c role=none', string_agg(format('-c %s=%s', name, regexp_replace(value, '([\\\s])', '\\\1', 'g')), ' ' order by name))
from pg_settings
left join (select distinct on (lower(name)) lower(name) as named, setting as written from pg_file_settings where applied order by lower(name), seqno desc) as file
  on named = lower(name)
cross join lateral (select case
  when name in ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout') then '0'
  when name = 'lc_messages' then 'C'
  when name in ('event_triggers', 'default_transaction_read_only') then 'off'
  when lower(name) in (select lower(split_part(unnest(setconfig), '=', 1)) from pg_db_role_setting) then coalesce(written, boot_val, '')
end as value) as it
-- The programs say themselves in which encoding they speak.
where value is not null and name <> 'client_encoding'
  and (context in ('user', 'backend') or context in ('superuser', 'superuser-backend') and (select rolsuper from pg_roles where rolname = :'role'));
