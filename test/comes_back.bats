#!/usr/bin/env bats
# Whatever an application has set for itself, and whatever in its database cannot be made again: a backup is made, and
# the data come back.

# bats sets these in `run`; the single quotes are for the container.
# shellcheck disable=SC2154,SC2016
load helpers/site

setup_file() {
  site_make avril-test-back 18435
  export SETS=$BATS_FILE_TMPDIR/sets DUMPS=$SITE/db/dumps
  set_env "BACKUP_DIR=$SETS"
  compose up --detach --wait postgres
  # Nobody sets anything for this role.
  docker exec "$STACK-postgres-1" psql -qX -U avril -d avril -c 'create role boss superuser login' 3>&-
  db -c 'create role reader' \
    -c "create table people as select n as id, 'é' || n as name from generate_series(1, 1000) as n"
}

teardown_file() { compose down --volumes --remove-orphans --timeout 2; }

teardown() {
  [ -n "${BATS_TEST_COMPLETED:-}" ] || compose logs --no-color --no-log-prefix --tail 20 postgres
  db -d postgres -c 'alter role avril reset all' -c 'alter database avril reset all'
}

db() { docker exec --interactive "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U boss -d avril "$@" 3>&-; }
backup() { script backup --no-files "$@" </dev/null; }
restore() { script backup_restore "$@" </dev/null; }

# One a line: what an application, or its administrator, may have set for its role or its database.
settings() {
  cat <<'END'
statement_timeout = 1
lock_timeout = 1
idle_in_transaction_session_timeout = 100
idle_session_timeout = 100
transaction_timeout = 100
default_transaction_read_only = on
default_transaction_isolation = serializable
default_transaction_deferrable = on
search_path = nowhere
role = reader
client_encoding = LATIN1
"DateStyle" = 'SQL, DMY'
standard_conforming_strings = off
bytea_output = escape
default_tablespace = nowhere
default_table_access_method = nowhere
row_security = off
session_preload_libraries = nowhere
session_replication_role = replica
client_min_messages = debug5
quote_all_identifiers = on
xmloption = document
exit_on_error = on
END
}

# bats test_tags=long
@test "what is set for the role or for the database holds up no backup, no drill, no restore and no first start" {
  settings | sed 's/.*/alter role avril set &; alter database avril set &;/' | db -d postgres
  run -0 backup
  run -0 backup --drill
  run -0 restore --yes
  run -0 restore --undo --yes
  compose down --volumes --timeout 2
  run -0 compose up --detach --no-build postgres
  run -0 timeout 120 bash -c "docker logs --follow '$STACK-postgres-1' 2>&1 | grep --max-count=1 'first start: ready'"
  assert_equal "$(db -d postgres \
    -c "select count(*) from pg_db_role_setting left join pg_database on setdatabase = pg_database.oid, unnest(setconfig) where setdatabase = 0 or datname = 'avril'")" $(($(settings | wc -l) * 2))
}

@test "with all connections taken a backup and a restore go by reserved ones, and say who has the others" {
  db -d postgres -c 'alter system set max_connections = 14'
  compose restart --timeout 5 postgres
  compose up --detach --wait postgres
  # The application is the superuser here, for whom nothing is kept free.
  docker exec "$STACK-postgres-1" bash \
    -c 'for n in {1..20}; do psql -qX -U avril -d avril -c "select pg_sleep(600)" >/dev/null 2>&1 & done; wait' 3>&- &
  timeout 30 bash -c "while docker exec '$STACK-postgres-1' psql -qX -U avril -d avril -c 'select 1'; do :; done" >"$BATS_TEST_TMPDIR/taken" 2>&1 3>&-
  assert_regex "$(tail -n 1 "$BATS_TEST_TMPDIR/taken")" 'too many clients'
  run -0 backup
  assert_output --partial '14 of the 14 connections of avril-test-back-postgres-1 are taken (14 by avril)'
  run -0 restore --yes
  # The restore has ended those of the former database.
  db -d postgres -c 'alter system reset max_connections' \
    -c 'select pg_terminate_backend(pid) from pg_stat_activity where query ~ $$^select pg_sleep$$' >/dev/null
  compose restart --timeout 5 postgres
  compose up --detach --wait postgres
}

# All that the database holds, as SQL; the keys of \restrict are new each time.
as_text() { docker exec "$STACK-postgres-1" pg_dump -U boss "$@" avril 3>&- | grep -v '^\\\(un\)\?restrict'; }

# first_start: a new volume, and the dump that the last backup published; waits until it is done
first_start() {
  compose down --volumes --timeout 2
  run -0 compose up --detach --wait postgres
  run -0 compose logs --no-color --no-log-prefix postgres
}

# bats test_tags=long
@test "what counts on the search_path of the site comes back whole: restore, drill, first start" {
  db <"$HERE/restore/by_search_path.sql"
  # These are safe, and so they are not named.
  db -c 'create function safe(text) returns text language sql immutable begin atomic; select unaccent($1); end' \
    -c 'create index tags_safe on tags (safe(label))'
  db -c 'create function safe_too(text) returns text language plpgsql immutable as $$begin return public.set_already(lower($1)); end$$' -c 'create index tags_too on tags (safe_too(label))'
  as_text >"$BATS_TEST_TMPDIR/before"
  run -0 backup
  assert_output --partial 'index public.tags_slug: public.slugify(text) names unaccent without its schema'
  assert_output --partial \
    'default value for column slug of table public.titles: public.slug_of(text) names unaccent without its schema'
  assert_output --partial 'public.is_code(text) names codes without its schema'
  assert_output --partial 'alter function public.slugify(text) set search_path = avril, public'
  refute_output --partial 'safe'
  run -0 backup --drill
  run -0 restore --yes
  run -0 diff "$BATS_TEST_TMPDIR/before" <(as_text)
  first_start
  refute_output --partial 'not restored'
  run -0 diff "$BATS_TEST_TMPDIR/before" <(as_text)
}

@test "what cannot be made again keeps no row away, and is listed with its SQL: 76, and the site is up" {
  db <"$HERE/restore/beyond_repair.sql"
  local copies
  copies=$(as_text --data-only | grep -c '^[0-9]')
  run -0 backup
  local lost=('CHECK table public.checked is_good' 'CHECK table public.parted parted_label_check' 'CHECK domain public.good good_check' 'INDEX public.computed_same' 'GENERATED COLUMN public.computed copy')
  run -76 backup --drill
  for it in "${lost[@]}"; do assert_output --partial "not restored: $it: "; done
  # The other services do not run here.
  run -1 script status --json
  assert_output --partial 'the last drill brought back all rows, but not'
  run -76 restore --yes
  for it in "${lost[@]}"; do assert_output --partial "not restored: $it: "; done
  assert_output --partial 'CREATE INDEX computed_same ON public.computed'
  assert_equal "$(as_text --data-only | grep -c '^[0-9]')" "$copies"
  assert_equal "$(db -c "select count(*) from pg_class where relname = 'computed_label'" \
    -c 'select id, label, copy from computed')" $'1\n1|a|'
  assert_equal "$(db -c "select count(*) from pg_namespace where nspname like 'avril%'" \
    -c "select count(*) from pg_proc where proconfig::text like '%avril%'")" $'0\n0'
  first_start
  for it in "${lost[@]}"; do assert_output --partial "not restored: $it: "; done
  assert_equal "$(as_text --data-only | grep -c '^[0-9]')" "$copies"
}

@test "rows that cannot come back leave the live database as it was, with the server's own words" {
  db -c 'create table missing (id int, at geometry)' -c 'insert into missing values (1, null)'
  docker exec "$STACK-postgres-1" pg_dump -U boss -Fc avril 3>&- >"$BATS_TEST_TMPDIR/a.dump"
  db -c 'drop table missing'
  # The extension of the geometry is not here.
  docker exec -u root "$STACK-postgres-1" sh -c 'mv "$(pg_config --sharedir)"/extension/postgis.control /tmp/' 3>&-
  run -1 restore --yes "$BATS_TEST_TMPDIR/a.dump"
  docker exec -u root "$STACK-postgres-1" sh -c 'mv /tmp/postgis.control "$(pg_config --sharedir)"/extension/' 3>&-
  assert_output --partial 'nothing was restored: '
  assert_output --partial 'extension "postgis" is not available'
}
