#!/usr/bin/env bats
# The first start of postgres, on an empty data folder: latest.dump is restored, or it is said why not.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site

setup_file() {
  export DUMPS="$BATS_FILE_TMPDIR/dumps"
  site_make avril-test-first 18413
  mkdir "$DUMPS"
  compose up --detach --wait postgres
  query <"$HERE/fixtures/database.sql"
  run_in pg_dump --username=avril --format=custom avril >"$DUMPS/good"
  # A role can set this for itself, and it takes effect only when something is made of it by lines.
  query --dbname=postgres \
    --set=text=$'x\nALTER ROLE reader SUPERUSER;\n\\! touch /tmp/pwned\n' <<<"set role reader; alter role reader set application_name = :'text'"
  run_in pg_dumpall --username=avril --globals-only >"$DUMPS/globals"
  query <"$HERE/../postgres/save_roles.sql" >"$DUMPS/roles"
  query_as_text >"$DUMPS/contents"
  run_in pg_dump --username=avril --format=custom --schema-only avril >"$DUMPS/schema-only"
  query <<<'create materialized view slow as select pg_sleep(3)::text'
  run_in pg_dump --username=avril --format=custom avril >"$DUMPS/slow"
}

teardown_file() { compose down --volumes --remove-orphans --timeout 2; }

setup() {
  compose down --volumes --timeout 2
  rm -rf "$SITE/db/dumps"
  mkdir -p "$SITE/db/dumps"
}

run_in() { docker exec "$STACK-postgres-1" "$@"; }
query() {
  docker exec --interactive "$STACK-postgres-1" psql --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
    --username=avril --dbname="${DATABASE:-avril}" "$@"
}
log() { compose logs --no-color --no-log-prefix postgres; }

# All that the database holds, as SQL; the keys of \restrict are new each time.
query_as_text() { run_in pg_dump --username=avril --create "${DATABASE:-avril}" | grep -v '^\\\(un\)\?restrict'; }

# give NAME: the dump that the next first start finds; as the backup writes it, readable for root alone
give() { install -m 600 "$DUMPS/$1" "$SITE/db/dumps/latest.dump"; }

assert_roles() {
  run -0 diff <(run_in pg_dumpall --username=avril --globals-only | grep -v -e '^ALTER ROLE avril ' -e restrict) \
    <(grep -v -e '^ALTER ROLE avril ' -e restrict "$DUMPS/globals")
  assert_harmless
}

# Nothing that was read became a program.
assert_harmless() {
  run -0 run_in find /tmp /var/lib/postgresql -name pwned
  assert_output ''
  assert_equal "$(query <<<"select string_agg(rolname, ' ') from pg_roles where rolsuper")" avril
}

assert_restored() { diff <(query_as_text) "$DUMPS/contents"; }

# refused WORDS: the first start fails with them, as often as it is tried, and nothing of it is served
refused() {
  run -1 compose up --detach --wait postgres
  assert_output --partial 'unhealthy'
  run -0 log
  assert_output --partial "$1"
  assert_output --partial 'first start: hint: '
  refute_output --partial 'listening on IPv4'
}

# killed_at LINE: ends the container as soon as its log has the line
killed_at() {
  local now
  now=$(date +%s.%N)
  compose up --detach postgres
  timeout 120 docker logs --follow --since "$now" "$STACK-postgres-1" 2>&1 | grep -q -- "$1"
  docker kill --signal KILL "$STACK-postgres-1" >/dev/null
}

@test "without a dump the database is empty, and the password of .env holds over the network" {
  run -0 compose up --detach --wait postgres
  run -0 log
  assert_output --partial 'first start: there is no db/dumps/latest.dump'
  assert_equal "$(query <<<"select string_agg(tablename, ' ') from pg_tables where schemaname = 'public'")" \
    spatial_ref_sys
  local ask=(docker run --rm --network "${STACK}_back" --entrypoint psql)
  run -0 "${ask[@]}" -e PGPASSWORD=change-me postgis/postgis:18-3.6 -h postgres -U avril -Atc 'select 1'
  assert_output 1
  run -2 "${ask[@]}" -e PGPASSWORD=wrong postgis/postgis:18-3.6 -h postgres -U avril -Atc 'select 1'
}

@test "a dump is restored before anybody can connect: rows, roles, rights, settings; then Compose has nothing to do" {
  give good
  cp "$DUMPS/roles" "$SITE/db/dumps/latest-roles.json"
  run -0 compose up --detach --wait postgres
  run -0 log
  assert_output --regexp \
    'first start: found db/dumps/latest.dump .*database avril.*first start: it is whole: .* rows.*restoring.*verified.*ready in'
  assert_restored
  assert_roles
  run -0 docker top "$STACK-postgres-1" -o pid,uid,args
  # Docker's own health check begins as root.
  refute_line --regexp '^[0-9]+ +0 +(postgres|bash|/bin/bash|pg_[a-z]+)[: ]'
  assert_line --regexp '^[0-9]+ +999 +postgres: checkpointer'
  run -0 docker run --rm --network "${STACK}_back" --entrypoint psql -e PGPASSWORD=change-me postgis/postgis:18-3.6 \
    -h postgres -U avril -Atc 'select count(*) from people'
  assert_output 50000
  run -0 docker run --rm --network "${STACK}_back" --entrypoint psql -e PGPASSWORD=of-reader postgis/postgis:18-3.6 \
    -h postgres -U reader -d avril -Atc 'select count(*) from people'
  assert_output 50000
  run -0 query --file=/etc/avril/compare_rows.sql <<<$'50000\001COPY public.people (id) FROM stdin;\n1\001COPY odd."Odd (name"", x" (b) FROM stdin;'
  assert_output 'odd."Odd (name"", x" has 2 rows, in the dump it has 1'
  assert_compose_agrees postgres
  run -0 compose restart --timeout 5 postgres
  run -0 compose up --detach --wait postgres
  assert_restored
}

@test "the dump of another server: its database has another name, its roles are not here and nobody wrote them down" {
  compose up --detach --wait postgres
  query <"$HERE/fixtures/database.sql"
  query --dbname=postgres <<'SQL'
create role "O'Hara ""x" superuser;
alter database avril owner to "O'Hara ""x";
alter database avril rename to "of the, other = server";
SQL
  # What its owner has others call, when the view is made.
  DATABASE="dbname='of the, other = server'" query <<<'create schema hers authorization reader'
  # shellcheck disable=SC2016 # dollars of SQL
  run_in psql --quiet --username=reader --dbname="dbname='of the, other = server'" --command='
    create function hers.rise(text) returns boolean language plpgsql as $$begin
      begin reset role; alter role reader superuser; copy (select 1) to program $it$touch /tmp/pwned$it$; exception when others then null; end;
      return true;
    end$$' --command='create domain hers.checked as text check (hers.rise(value))' --command="create view hers.constant as select '{x}'::hers.checked[] as v"
  run_in pg_dump --username=avril --format=custom --dbname="dbname='of the, other = server'" >"$DUMPS/other"
  compose down --volumes --timeout 2
  give other
  run -0 compose up --detach --wait postgres
  run -0 log
  assert_output --partial "the dump names the role O'Hara \"x, which is neither here"
  assert_output --partial 'the dump names the role reader, which is neither here'
  refute_output --partial 'ERROR'
  assert_equal "$(query <<<"select pg_get_userbyid(datdba) from pg_database where datname = 'avril'")" "O'Hara \"x"
  assert_harmless
  assert_equal "$(query <<<'select v from hers.constant')" '{x}'
  query <<<'alter database avril owner to avril; drop schema hers cascade'
  assert_restored
  assert_equal "$(query <<<"select rolcanlogin from pg_roles where rolname = 'reader'")" f
}

@test "a language that this server does not have is replaced by its own, and that is said" {
  sed "s/C\.UTF-8/xx.YY-8/" "$DUMPS/good" >"$DUMPS/language"
  give language
  run -0 compose up --detach --wait postgres
  run -0 log
  assert_output --partial 'cannot be made with the language that it had'
  assert_equal "$(query <<<'select count(*) from people')" 50000
}

@test "what stands in a dump, in its header and in the roles beside it, is never a program" {
  # Its text has a length of its own in the file, which must stay. sed takes away one of the backslashes.
  local there='WITH TEMPLATE = template0 ENCODING'
  LC_ALL=C sed "s|$there|$(printf '%-*s' $((${#there} + 1)) '\\! touch /tmp/pwned')|" "$DUMPS/good" >"$DUMPS/hostile"
  assert_equal "$(LC_ALL=C grep -c 'CREATE DATABASE avril .! touch' "$DUMPS/hostile")" 1
  give hostile
  printf '%s\n' 'CREATE ROLE reader;' 'GRANT pg_monitor TO reader \! touch /tmp/pwned' \
    ';' >"$SITE/db/dumps/latest-globals.sql"
  run -0 compose up --detach --wait postgres
  run -0 log
  assert_output --partial 'not all roles of latest-globals.sql could be made'
  assert_equal "$(query <<<'select count(*) from people')" 50000
  assert_harmless
}

@test "a dump that is empty, cut short, damaged, text, without data or a link to nowhere is refused, each time" {
  : >"$DUMPS/empty"
  head -c "$(($(stat -c %s "$DUMPS/good") * 6 / 10))" "$DUMPS/good" >"$DUMPS/short"
  cp "$DUMPS/good" "$DUMPS/damaged"
  head -c 3000 /dev/zero |
    dd of="$DUMPS/damaged" bs=1 seek="$(($(stat -c %s "$DUMPS/good") / 2))" conv=notrunc status=none
  cp "$DUMPS/contents" "$DUMPS/text"
  local name
  for name in 'empty:it is empty' 'short:it ends too early' 'damaged:it is damaged' 'text:text format' 'schema-only:no data of any table'; do
    give "${name%%:*}"
    refused "not a dump that can be used: "
    assert_output --partial "${name#*:}"
    compose down --volumes --timeout 2
  done
  rm "$SITE/db/dumps/latest.dump"
  ln -s /nowhere/x.dump "$SITE/db/dumps/latest.dump"
  refused 'it is a link that leads out of db/dumps'
}

@test "a refused dump that is replaced by a good one is restored without more" {
  give schema-only
  refused 'no data of any table'
  local now
  now=$(date +%s)
  give good
  # The restart policy tries again by itself. Not by Compose, which gives a container up that is between two tries.
  timeout 120 docker events --since "$now" --filter "container=$STACK-postgres-1" --format '{{.Action}}' |
    grep -qx 'health_status: healthy'
  assert_equal "$(query <<<'select count(*) from people')" 50000
}

# bats test_tags=long
@test "killed in any step, the next start begins anew and completes; nothing half restored is ever served" {
  cp "$DUMPS/globals" "$SITE/db/dumps/latest-globals.sql"
  give slow
  local line
  for line in 'Reading all of it' 'it is whole' 'CREATE DATABASE' 'shut down$' 'restoring' 'restored;' 'verified'; do
    killed_at "$line"
    run -1 run_in true
  done
  run -0 compose up --detach --wait postgres
  query <<<'drop materialized view slow'
  assert_restored
  # Here they came from an older set.
  assert_roles
  run -0 run_in find /var/lib/postgresql -name '*.first-start'
  assert_output ''
}

@test "while it restores there is nothing to connect to, by network or by socket, and the container is not healthy" {
  give slow
  compose up --detach postgres
  timeout 120 docker logs --follow "$STACK-postgres-1" 2>&1 | grep -q restoring
  run -2 query <<<'select 1'
  assert_equal "$(docker inspect --format '{{.State.Health.Status}}' "$STACK-postgres-1")" starting
  run -2 run_in psql -h 127.0.0.1 -U avril -c 'select 1'
  local began=$SECONDS
  run -0 compose stop postgres
  assert [ $((SECONDS - began)) -lt 20 ]
  assert_not_equal "$(docker inspect --format '{{.State.ExitCode}}' "$STACK-postgres-1")" 137
}

@test "data that is there is left alone, whatever lies in db/dumps and beside it" {
  compose up --detach --wait postgres
  query <<<'create table mine as select 42 as it'
  give good
  run_in mkdir /var/lib/postgresql/18/docker.unfinished
  run -0 compose up --detach --wait --force-recreate postgres
  assert_equal "$(query <<<'select it from mine')" 42
  docker kill --signal KILL "$STACK-postgres-1"
  run -0 compose up --detach --wait postgres
  assert_equal "$(query <<<'select it from mine')" 42
}

@test "data of another version, or files that are none, are not hidden by a new database" {
  compose up --detach --wait postgres
  compose rm --stop --force postgres
  compose run --rm --no-deps -T postgres mv /var/lib/postgresql/18 /var/lib/postgresql/17
  give good
  refused 'there is data of another PostgreSQL in /var/lib/postgresql/17/docker'
  compose rm --stop --force postgres
  compose run --rm --no-deps -T postgres bash \
    -c 'mkdir -p /var/lib/postgresql/18/docker; rm -r /var/lib/postgresql/17; echo x >/var/lib/postgresql/18/docker/x'
  refused 'holds files, but is no data folder'
  run -0 compose run --rm --no-deps -T postgres cat /var/lib/postgresql/18/docker/x
  assert_output x
}
