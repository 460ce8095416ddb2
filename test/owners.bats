#!/usr/bin/env bats
# Who owns what is in a database has no more rights at a restore than anywhere else. On a server of its own, without a
# site.

# bats sets these in `run`; the single quotes are for the server.
# shellcheck disable=SC2154,SC2016
load helpers/site

setup_file() {
  export SERVER=avril-test-owners
  docker rm --force --volumes "$SERVER" >/dev/null 2>&1 || true
  docker run --detach --name "$SERVER" --network none --tmpfs /docker-entrypoint-initdb.d --env POSTGRES_USER=avril \
    --env POSTGRES_PASSWORD=x postgis/postgis:18-3.6
  # While it is being set up a server answers on the socket alone.
  docker exec "$SERVER" timeout 60 bash \
    -c 'until psql -h 127.0.0.1 -U avril -d postgres -c "select 1" >/dev/null 2>&1; do sleep 0.1; done'
  query --dbname=postgres <<<'create role avril_app login; create role reader login; create database origin owner avril_app'
  query --dbname=origin --username=avril_app <"$HERE/restore/takeover.sql" >/dev/null 2>&1
  query --dbname=origin <"$HERE/restore/others.sql"
}

teardown_file() { docker rm --force --volumes "$SERVER"; }

setup() {
  # The superuser has just written to such tables himself.
  query --dbname=postgres <<<'alter role avril_app nosuperuser connection limit -1; create database restored template template0 owner avril_app'
  in_server rm -f /tmp/pwned
  since=$(date --utc +%FT%T.%NZ)
}
teardown() { query --dbname=postgres <<<'drop database restored'; }

in_server() { docker exec --interactive --user postgres "$SERVER" "$@" 3>&-; }
query() { in_server psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --username=avril "$@"; }
# In spite of what is set for it.
by_app() {
  in_server env PGOPTIONS='-c role=none -c default_transaction_read_only=off -c statement_timeout=0 -c search_path=public' psql --no-psqlrc --quiet --dbname=restored --username=avril_app
}
dump() { in_server pg_dump --username=avril "$@" </dev/null | grep -v '^\\\(un\)\?restrict'; }
gift() { cat "$CHECKOUT/postgres/superusers_objects.sql"; }

# restore [options of pg_restore]: the database "origin" into "restored", as the product does
restore() {
  in_server pg_dump --username=avril --format=custom --statistics --file=/tmp/dump origin
  # As they may be set for who connects from elsewhere.
  query --dbname=postgres <<<"alter role avril_app connection limit 0 valid until '2000-01-01'; alter role reader nologin"
  local options
  options="$(query --dbname=postgres <"$CHECKOUT/postgres/session_settings.sql") -c synchronous_commit=off -c wal_compression=lz4"
  run -0 --separate-stderr in_server env PGUSER=avril "PGOPTIONS=$options" bash \
    -c "$(cat "$CHECKOUT/postgres/bring_back.sh")" bring_back restored /tmp/dump 2 '"$user", public' avril_app \
    "$(gift)" "$@"
  lost=$(tr '\001\002' '|\n' <<<"$output" | cut -d '|' -f 1 | grep .)
}

# ways: what has called a function at the restore, and as whom
ways() { docker logs --since "$since" "$SERVER" 2>&1 | sed -n 's/.*attack: \(.* as [a-z_]*\).*/\1/p' | sort -u; }

assert_nobody_rose() {
  assert_equal "$(query --dbname=postgres <<<"select string_agg(rolname, ' ') from pg_roles where rolsuper")" avril
  run -1 in_server test -e /tmp/pwned
  run -0 ways
  refute_line --regexp ' as avril$|^another role|^guarded as reader|^anybody'
}

# What was lent is taken back.
assert_nothing_lent() {
  assert_equal "$(query --dbname=postgres <<<"select string_agg(format('%s %s', roleid::regrole, member::regrole), ',') from pg_auth_members where member > 16000; select count(*) from pg_parameter_acl; select count(*) from pg_roles where rolname ~ 'avril '")" $'family avril_app\n0\n0'
}

@test "each way in which an owner can have others call his functions calls them with his rights alone, and all comes back as it was" {
  restore
  assert_equal "$lost" $'CHECK table public.checked_here checked_here_v_check\nGENERATED COLUMN public.computed g'
  assert_nobody_rose
  run -0 ways
  for way in check 'generated column' 'constant in a generated column' domain 'key of a partition' 'constant in the key of a partition' 'bound of a partition' index 'index of some rows' \
    'constant in an index' statistics constant name 'state of an aggregate' 'materialized view' 'cast of a foreign key' exclusion 'check that fails' 'function that counts on the search_path' \
    'generated column that fails' 'check of a table without rights' 'check of a role that the app is in' 'check beside a key of another role'; do assert_line "$way as avril_app"; done
  assert_line 'check of another role as reader'
  assert_line 'check of a role without login as plain'
  assert_nothing_lent
  # Then a superuser's are the app's there, too.
  { gift; echo '\gexec'; } | query --dbname=origin --set=app=avril_app
  run -0 diff <(dump --exclude-table=computed --exclude-table=checked_here origin) \
    <(dump --exclude-table=computed --exclude-table=checked_here restored)
  assert_equal "$(query --dbname=restored <<<'select v from computed; select v from checked_here')" $'x\nx'
}

@test "with --no-owner all is the app's, with its rights alone" {
  restore --no-owner
  assert_nobody_rose
  run -0 ways
  assert_line 'check of another role as avril_app'
  assert_nothing_lent
  # Large objects call nothing: they are the superuser's to restore, and are given when all is there.
  assert_equal "$(gift | query --dbname=restored --set=app=avril_app)" 'alter large object 4711 owner to avril_app'
  assert_equal "$(query --dbname=restored <<<"select count(*) from pg_class where relowner = 'reader'::regrole")" 0
}

@test "into a database that somebody has written to before it is filled nothing is restored" {
  by_app <<<'create function public.planted() returns int language sql as $$select 1$$'
  in_server pg_dump --username=avril --format=custom --file=/tmp/dump origin
  run -1 in_server env PGUSER=avril bash -c "$(cat "$CHECKOUT/postgres/bring_back.sh")" bring_back restored /tmp/dump \
    2 public avril_app ''
  assert_output --partial 'somebody has written to the database before it was filled'
}

@test "a table that becomes a view while rows are counted calls nothing with the rights of who counts" {
  by_app <<'SQL'
create table first as select generate_series(1, 20000) as v;
create table last (v int);
create function rise() returns boolean language plpgsql as $$begin copy (select 1) to program 'touch /tmp/pwned'; return true; end$$;
vacuum first;
SQL
  by_app >/dev/null <<'SQL' &
begin;
lock table first;
do $$begin
  while not exists (select from pg_locks where relation = 'first'::regclass and not granted) loop perform pg_sleep(0.01); end loop;
end$$;
drop table last;
create view last as select 1 as v where rise();
commit;
SQL
  query --dbname=restored <<<"do \$\$begin while not exists (select from pg_locks where relation = 'first'::regclass and granted) loop perform pg_sleep(0.01); end loop; end\$\$"
  run -1 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" --input-type=module --eval '
    const { openSessions } = await import(`${process.argv[1]}/lib/postgres/server.ts`)
    const { countRows } = await import(`${process.argv[1]}/lib/postgres/snapshot.ts`)
    const server = await openSessions({ id: process.argv[2], user: "avril", app: "avril_app", database: "restored" })
    await countRows(server, "restored")' "$CHECKOUT" "$SERVER"
  wait
  assert_output --partial 'access to non-system view "last" is restricted'
  run -1 in_server test -e /tmp/pwned
}
