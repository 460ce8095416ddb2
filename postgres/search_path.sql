-- The search_path of the application's sessions: of whom the database belongs to, as it is set for that role, for the
-- database, or for all.
select replace(coalesce(
  (select substr(it, 13) from pg_db_role_setting, unnest(setconfig) as it
    where starts_with(it, 'search_path=') and setdatabase in (0, pg_database.oid) and setrole in (0, datdba) order by setrole = 0, setdatabase = 0 limit 1),
  (select setting from pg_file_settings where name = 'search_path' and applied order by seqno desc limit 1),
  '"$user", public'), '"$user"', quote_ident(pg_get_userbyid(datdba)))
from pg_database where datname = current_database()
