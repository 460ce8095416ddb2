# The roles of a backup: saved as data, made again as data, whatever stands in them. On a server of its own, without a
# site.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site

setup_file() {
  export SERVER=avril-test-roles
  docker rm --force --volumes "$SERVER" >/dev/null 2>&1 || true
  docker run --detach --name "$SERVER" --network none --tmpfs /docker-entrypoint-initdb.d --env POSTGRES_USER=avril \
    --env POSTGRES_PASSWORD=x postgis/postgis:18-3.6
  # While it is being set up a server answers on the socket alone.
  docker exec "$SERVER" timeout 60 bash \
    -c 'until psql -h 127.0.0.1 -U avril -d postgres -c "select 1" >/dev/null 2>&1; do sleep 0.1; done'
}

teardown_file() { docker rm --force --volumes "$SERVER"; }

# Only what was there at first.
setup() {
  query <<<"select format('drop owned by %I; drop role %I', rolname, rolname) from pg_roles where oid > 16384 \gexec" >/dev/null 2>&1
  query <<<"alter role avril reset all"
}

query() {
  docker exec --interactive --user postgres "$SERVER" psql --no-psqlrc --quiet --no-align --tuples-only \
    --set=ON_ERROR_STOP=1 --set=user=avril --username=avril --dbname=postgres "$@"
}

save() { query <"$CHECKOUT/postgres/save_roles.sql"; }

# make KIND TEXT: the roles of a text, by postgres/make_KIND.sql, as the product gives it to psql
make() {
  {
    printf "create temp table given as select convert_from(decode('%s', 'base64'), 'UTF8') as text;\n" \
      "$(printf %s "$2" | base64 --wrap=0)"
    cat "$CHECKOUT/postgres/make_$1.sql"
  } | query
}

# Nobody ran a program, and nobody became more than he was.
assert_harmless() {
  run -0 docker exec "$SERVER" find /tmp /var/lib/postgresql -name pwned
  assert_output ''
  assert_equal "$(query <<<"select string_agg(rolname, ' ') from pg_roles where rolsuper")" avril
}

# Everything that a role can set for itself, in the words of an attacker.
SETTINGS=(
  $'x\nALTER ROLE reader SUPERUSER;\n'
  $'x\nCREATE ROLE evil SUPERUSER LOGIN;\n'
  $'x\nGRANT avril TO reader;\n'
  $'\\! touch /tmp/pwned'
  $'x\n\\! touch /tmp/pwned\n'
  $'\';\nALTER ROLE reader SUPERUSER; --'
  $'\\\';\n\\! touch /tmp/pwned\n'
  $'$$; alter role reader superuser; $$'
  $'\\unrestrict x\n\\! touch /tmp/pwned\n'
)

@test "settings of a role in the words of an attacker come back as they were, from both forms, and do nothing" {
  local setting former old
  query <<<'create role reader login'
  for setting in "${SETTINGS[@]}"; do
    query --set=it="$setting" <<<"set role reader; alter role reader set application_name = :'it'; alter role reader set default_tablespace = :'it'" 2>/dev/null
    former=$(save)
    old=$(docker exec --user postgres "$SERVER" pg_dumpall --globals-only --username=avril)
    query <<<'drop role reader'
    make roles "$former"
    assert_equal "$(save)" "$former"
    assert_harmless
    query <<<'drop role reader'
    make old_roles "$old" 2>/dev/null
    assert_harmless
    assert_equal "$(query --set=it="$setting" <<<"select 'application_name=' || :'it' = any (rolconfig) from pg_roles where rolname = 'reader'")" t
  done
}

# A globals.sql of an older set, and what becomes of it: the roles that are there then.
OLD=(
  'CREATE ROLE a; GRANT pg_monitor TO a \! touch /tmp/pwned'$'\n'
  'CREATE ROLE a; GRANT pg_monitor TO a \! touch /tmp/pwned'$'\n'';'
  $'CREATE ROLE a;\n\\! touch /tmp/pwned\n'
  $'CREATE ROLE a;\n\\copy pg_roles to /tmp/pwned\n'
  $'-- \n\\i /etc/passwd\nCREATE ROLE a;'
  "CREATE ROLE a; COPY pg_roles TO PROGRAM 'touch /tmp/pwned';"
  "CREATE ROLE a; SELECT lo_export(lo_from_bytea(0, ''), '/tmp/pwned');"
  "CREATE ROLE a; ALTER ROLE a WITH LOGIN PASSWORD E'\\'; ALTER ROLE a SUPERUSER; --';"
  "CREATE ROLE a; ALTER ROLE a SET x.y TO 'z' SUPERUSER;"
  'CREATE ROLE a SUPERUSER;'
  'CREATE ROLE "a'
)

@test "an older set's globals.sql that holds more than roles does nothing else" {
  local text
  for text in "${OLD[@]}"; do
    make old_roles "$text" >/dev/null 2>&1 || true
    assert_harmless
    query <<<'drop role if exists a'
  done
}

@test "roles, memberships, rights and settings come back as they were, also twice, and on a server that another superuser made" {
  query <<'SQL'
create role reader login password 'of-reader' valid until '2030-01-01 12:00' connection limit 3;
create role keeper noinherit; create role boss createrole login;
create role "O'Hara ""x;
\! y" login replication bypassrls createdb;
grant keeper to reader with inherit false; grant pg_monitor to reader with admin option; grant keeper to boss with admin option;
set role boss; grant keeper to "O'Hara ""x;
\! y"; reset role;
alter role reader set search_path = "$user", public, "a b"; alter role reader set work_mem = '9MB'; alter role avril set work_mem = '8MB';
comment on role keeper is E'it''s \\! id\n\\! id';
grant set on parameter work_mem to reader; grant set on parameter "a.b_c" to reader with grant option;
SQL
  local former old
  former=$(save)
  old=$(docker exec --user postgres "$SERVER" pg_dumpall --globals-only --username=avril)
  make roles "$former"
  assert_equal "$(save)" "$former"
  setup
  make roles "$former"
  assert_equal "$(save)" "$former"
  setup
  make old_roles "$old"
  assert_equal "$(save | grep -v '"grantor"' | sort)" "$(grep -v '"grantor"' <<<"$former" | sort)"
  setup
  # There the superuser had another name: it is one more role here.
  run -0 make roles "${former//\"avril\"/\"someone\"}"
  assert_output ''
  assert_equal "$(query <<<"select rolsuper from pg_roles where rolname = 'someone'")" t
  assert_equal "$(query <<<"select count(*) from pg_auth_members where member in (select oid from pg_roles where rolname in ('reader', 'boss') or rolname like 'O%')")" 4
  query <<<'drop role someone'
}

@test "what is no document of roles is an error, and what the server refuses holds up nothing" {
  run -3 make roles '{"roles": [{"name": "a"}'
  run -3 make roles 'GRANT'
  run -0 make roles '{"roles": [{"name": "pg_mine"}, {"name": ""}, {"name": "a", "login": true}], "memberships": [{"role": "nobody", "member": "a"}], "settings": [{"role": "a", "settings": ["no setting"]}]}'
  assert_output --partial 'ERROR:  role name "pg_mine" is reserved'
  assert_equal "$(query <<<"select rolcanlogin, rolsuper from pg_roles where rolname = 'a'")" 't|f'
}
