#!/usr/bin/env bats
# What who breaks into a container finds there: no right, no network, no secret beyond what that service needs. And an
# existing site goes on working until setup.ts --upgrade changes it.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site
LINK=avril-confined

setup_file() {
  site_up avril-test-confined 18270 "BACKUP_DIR=$BATS_FILE_TMPDIR/sets" POSTGRES_PASSWORD=of-postgres \
    AWS_SECRET_ACCESS_KEY=of-the-files SECRET_KEY_BASE=of-the-cookies-of-visitors 2>&1
}
teardown_file() {
  outside_down
  site_down
}

# In the container that "docker compose up" made. It leaves the standard input alone, so that the loops below keep their
# lines.
in_service() {
  local service=$1
  shift
  docker exec "$STACK-$service-1" "$@" </dev/null 3>&-
}

# The capabilities of Linux are bits: 0 CHOWN, 1 DAC_OVERRIDE, 3 FOWNER, 5 KILL, 6 SETGID, 7 SETUID, 10
# NET_BIND_SERVICE.
@test "no container has a right that its service does not need, and none can get one" {
  while read -r service user capabilities memory; do
    # shellcheck disable=SC2016 # for the container
    run -0 in_service "$service" sh \
      -c 'echo "$(id -u)" "$(grep -cx "NoNewPrivs:	1" /proc/self/status)" $(sed -n "s/^CapBnd:	//p" /proc/self/status)'
    echo "$service: $output"
    assert_regex "$output" "^$user 1 0*$capabilities$"
    run -0 docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$STACK-$service-1"
    assert_output "$memory 1024"
  done <<'END'
phoenix       [1-9][0-9]* 0   2147483648
nuxt_profile  [1-9][0-9]* 0   1073741824
nuxt_booklet  [1-9][0-9]* 0   1073741824
nginx         0           4e3 1073741824
postgres      0           eb  0
minio         0           eb  0
END
}

address_of() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$STACK-$1-1"; }

# reaches SERVICE SERVICE PORT: by its name, or by any of its addresses
reaches() {
  local to
  for to in "$2" $(address_of "$2"); do
    if in_service "$1" timeout 3 bash -c "exec 3<>/dev/tcp/$to/$3" 2>/dev/null; then return 0; fi
  done
  return 1
}

# Beside each other: who reaches nobody waits for a time limit.
@test "a container reaches those that it needs, and no other, by name or by address" {
  local wanted=$BATS_TEST_TMPDIR/wanted pids=()
  cat >"$wanted" <<'END'
phoenix      postgres     5432 yes
phoenix      minio        9000 yes
phoenix      nginx        8080 yes
nuxt_profile nginx        8080 yes
nuxt_profile postgres     5432 no
nuxt_profile minio        9000 no
nuxt_booklet postgres     5432 no
nginx        phoenix      4000 yes
nginx        nuxt_booklet 3000 yes
nginx        minio        9000 yes
nginx        postgres     5432 no
minio        phoenix      4000 yes
minio        nuxt_profile 3000 no
postgres     nginx        8080 no
END
  while read -r from to port _; do
    { if reaches "$from" "$to" "$port"; then echo yes; else echo no; fi >"$BATS_TEST_TMPDIR/$from-$to"; } 3>&- &
    pids+=("$!")
  done <"$wanted"
  wait "${pids[@]}"
  while read -r from to _ answer; do
    assert_equal "$from $to $(cat "$BATS_TEST_TMPDIR/$from-$to")" "$from $to $answer"
  done <"$wanted"
}

# A machine outside: its address is behind this one's, as the Internet is.
outside_up() {
  ip netns add "$STACK"
  ip link add "$LINK" type veth peer name outside netns "$STACK"
  ip address add 198.51.100.1/30 dev "$LINK"
  ip link set "$LINK" up
  ip -n "$STACK" address add 198.51.100.2/30 dev outside
  ip -n "$STACK" link set outside up
  ip -n "$STACK" route add default via 198.51.100.1
  : >"$BATS_TEST_TMPDIR/outside"
  ip netns exec "$STACK" node \
    -e 'require("node:net").createServer(socket => socket.end()).listen(7000, () => console.log("listening"))' >>"$BATS_TEST_TMPDIR/outside" 3>&- &
  await_line "$BATS_TEST_TMPDIR/outside" listening
}

outside_down() {
  ip netns pids "$STACK" 2>/dev/null | xargs --no-run-if-empty kill
  ip link del "$LINK" 2>/dev/null || true
  ip netns del "$STACK" 2>/dev/null || true
}

@test "the database and the files reach nothing outside" {
  outside_up
  while read -r service answer; do
    echo "$service"
    if in_service "$service" timeout 3 bash -c 'exec 3<>/dev/tcp/198.51.100.2/7000' 2>/dev/null; then
      assert_equal "$answer" yes
    else
      assert_equal "$answer" no
    fi
  done <<'END'
phoenix      yes
nuxt_profile yes
postgres     no
minio        no
END
  outside_down
}

@test "phoenix writes beside its code, as somebody who is not root" {
  run -0 in_service phoenix sh \
    -c 'mkdir -p priv/mnesia priv/tabs && touch priv/mnesia/x priv/tabs/x && stat -c %U priv/tabs/x && mix ecto.migrate --no-compile && mix help ecto.migrate >/dev/null; id -un'
  assert_line --index 0 app
  assert_line app
}

# bats test_tags=long
@test "a deploy of each app works, and one whose Dockerfile forgets USER is warned of" {
  local own="$PLAY/own"
  for app in avril avril-profil avril-livret1; do
    run -0 deploy --probation 0 "$app"
    refute_output --partial 'runs as root'
    assert_equal "$(greeting "$app")" 'revision 1'
  done
  cp "$SITE/docker-compose.yml" "$BATS_TEST_TMPDIR/docker-compose.yml"
  git clone --quiet "$PLAY/origin/avril-profil.git" "$own"
  # shellcheck disable=SC2016 # for the Dockerfile
  printf '%s\n' 'FROM node:24.21.0-trixie-slim' \
    'RUN command -v curl || { apt-get update && apt-get install -y curl; }' 'WORKDIR /app' 'COPY . .' \
    'RUN npm run build' 'CMD ["npm", "start"]' >"$own/Dockerfile"
  git -C "$own" add Dockerfile
  git -C "$own" -c user.name=test -c user.email=test@example.org commit --quiet --message 'its own'
  git -C "$own" push --quiet origin HEAD
  sed -i '/^  nuxt_profile:/,/^  nuxt_booklet:/{/extends:/d}' "$SITE/docker-compose.yml"
  run -0 deploy --probation 0 avril-profil
  cp "$BATS_TEST_TMPDIR/docker-compose.yml" "$SITE/docker-compose.yml"
  assert_output --partial 'nuxt_profile runs as root in its container; give its Dockerfile a line USER'
  run -0 deploy --probation 0 --rollback avril-profil
}

@test "a changed setting of the hosting changes nothing that runs" {
  set_env BACKUP_DAYS=30 FORMER_DAYS=30
  for service in phoenix nuxt_profile nuxt_booklet; do assert_compose_agrees "$service"; done
}

@test "the uploaded files are saved, and served, through the networks of their own" {
  run -0 script backup
  run -22 curl -fsS "$URL/files/none"
  assert_output --partial 404
}

# --- keys of the app's own

# by_app SQL: as phoenix would, by the address that the network knows (by which nobody gets in without a password), with
# what .env says
by_app() {
  local user password
  user=$(setting POSTGRES_APP_USER)
  password=$(setting POSTGRES_APP_PASSWORD)
  printf '%s\n' "$1" | PGPASSWORD=${password:-$(setting POSTGRES_PASSWORD)} docker exec --interactive --env PGPASSWORD \
    "$STACK-postgres-1" psql \
    --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --host=postgres \
    --username="${user:-$(setting POSTGRES_USER)}" --dbname=avril
}

query() {
  docker exec --interactive "$STACK-postgres-1" psql --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
    --username=avril --dbname="${DATABASE:-avril}" "$@" 3>&-
}

setting() { sed -n "s/^$1=//p" "$SITE/.env"; }

# What setup.ts finds of a step: "level text", one a line
found() {
  # shellcheck disable=SC2016 # for node
  script setup --check --json | node -e '
    const { findings } = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
    for (const { step, level, text } of findings) if (step === process.argv[1]) console.log(`${level} ${text}`)' "$1"
}

# All that a superuser owns in the database and could give away
superusers() { query --set=app="$(setting POSTGRES_APP_USER)" --file=- <"$HERE/../postgres/superusers_objects.sql"; }

@test "an older site works as it is, and --check says what the app could do" {
  query <"$HERE/fixtures/database.sql"
  run -0 script backup old
  run -0 by_app "create temp table x (t text); copy x from program 'id'; table x"
  assert_output --partial 'postgres'
  found keys >"$BATS_TEST_TMPDIR/found"
  run -0 cat "$BATS_TEST_TMPDIR/found"
  assert_line --partial 'warning phoenix logs in to the database as avril, a superuser'
  assert_line --partial "warning phoenix has the administrator's key of minio"
  assert_equal "${#lines[@]}" 2
  run --separate-stderr -0 found running
  assert_output 'good what runs is as docker-compose.yml and .env say'
}

@test "setup.ts --upgrade gives phoenix keys of its own while visitors are served, and a deploy takes them up" {
  local id
  id=$(docker inspect --format '{{.Id}} {{.State.StartedAt}}' "$STACK-postgres-1" "$STACK-minio-1")
  load_start --rate 20
  run -0 script setup --upgrade
  assert_output --partial 'keys: phoenix logs in to the database as avril_app, who is not a superuser and owns avril'
  assert_output --partial 'keys: the key of phoenix is for the bucket avril alone'
  assert_output --partial 'tsx scripts/deploy_local.ts avril'
  refute_output --partial "$(setting POSTGRES_APP_PASSWORD)"
  assert_no_request_lost
  assert_equal "$(docker inspect --format '{{.Id}} {{.State.StartedAt}}' "$STACK-postgres-1" "$STACK-minio-1")" "$id"
  assert_equal "$(stat -c %a "$SITE/.env")" 600
  run -0 superusers
  assert_output ''
  cp "$SITE/.env" "$BATS_TEST_TMPDIR/.env"
  run -0 script setup --upgrade
  run -0 cmp "$SITE/.env" "$BATS_TEST_TMPDIR/.env"
  run -0 deploy --probation 0 avril
  run -0 compose up --detach --wait
  run --separate-stderr -0 found running
  assert_output 'good what runs is as docker-compose.yml and .env say'
  run --separate-stderr -0 found keys
  refute_line --partial warning
  assert_equal "$(query <<<"select count(*) > 0 from schema_migrations")" t
}

# SQL → what the server says
@test "with the app's login nothing can be done to the server" {
  local statement said
  while IFS='|' read -r statement said; do
    echo "$statement"
    run -3 by_app "$statement"
    assert_output --partial "$said"
  done <<'END'
create temp table x (t text); copy x from program 'id'|permission denied to COPY to or from an external program
copy people to program 'cat'|permission denied to COPY to or from an external program
copy people to '/tmp/x'|permission denied to COPY to a file
select pg_read_file('/etc/passwd')|permission denied for function pg_read_file
select lo_import('/etc/passwd')|permission denied for function lo_import
create role x superuser|permission denied to create role
alter role avril_app superuser|permission denied to alter role
alter role avril password 'x'|permission denied to alter role
set role avril|permission denied to set role
set session_replication_role = replica|permission denied to set parameter
alter system set archive_command = 'id'|permission denied to set parameter
create database x|permission denied to create database
select rolpassword from pg_authid|permission denied for table pg_authid
create function x() returns int language c as 'libc', 'getpid'|permission denied for language c
create extension file_fdw|permission denied to create extension
load 'auto_explain'|access to library "auto_explain" is not allowed
END
}

@test "with the app's login the application's own database can be changed as before" {
  local statement
  while IFS= read -r statement; do
    echo "$statement"
    run -0 by_app "$statement"
  done <<'END'
alter table people add column more text; create index on people (more); alter table people drop column more
create table x (id serial primary key); drop table x
insert into odd.months values ('2026-01-05', 1); delete from odd.months where n = 1; alter table odd.months add column more int; alter table odd.months drop column more
refresh materialized view counted
create schema y; create function y.f() returns int language sql as 'select 1'; drop schema y cascade
alter database avril set work_mem = '10MB'
select lo_unlink(oid) from pg_largeobject_metadata; select lo_from_bytea(0, 'another')
END
}

@test "what is the administrator's still, and a key that minio does not know, are found and put right; a table that is in use holds up neither" {
  query <<<'create table by_hand (id int); create table held (id int)'
  set_env AWS_SECRET_ACCESS_KEY=another-secret
  run --separate-stderr -0 found keys
  assert_line --partial 'warning not all in avril belongs to avril_app: table public.by_hand and 1 more'
  assert_line --partial 'warning minio refuses the key of phoenix (avril_app)'
  docker exec --detach "$STACK-postgres-1" psql --username=avril --dbname=avril \
    --command "lock table held; select pg_sleep(600)"
  query <<'SQL'
do $$ begin
  for n in 1..300 loop
    exit when exists (select from pg_locks where relation = 'held'::regclass and granted);
    perform pg_sleep(0.1);
  end loop;
end $$
SQL
  run -1 script setup --upgrade
  assert_output --partial 'not all of avril could be given to avril_app'
  assert_output --partial 'lock timeout'
  assert_equal "$(query <<<"select string_agg(tablename, ' ') from pg_tables where tableowner = 'avril' and schemaname = 'public' and tablename <> 'spatial_ref_sys'")" held
  query <<<"select pg_terminate_backend(pid) from pg_locks where relation = 'held'::regclass"
  run -0 script setup --upgrade
  refute_line --partial '! keys'
  run -0 superusers
  assert_output ''
}

# In a migration, as all that changes the database; those of Avril make these.
# bats test_tags=long
@test "a migration that makes an extension works" {
  query <<<'drop extension postgis_tiger_geocoder, fuzzystrmatch'
  local extension statements=
  for extension in citext fuzzystrmatch pg_trgm postgis unaccent; do
    statements+="create extension if not exists $extension; "
  done
  commit avril "MIGRATION=sql:$statements" >/dev/null
  run -0 deploy --probation 0 avril
  assert_equal "$(query <<<"select string_agg(extname, ' ' order by extname) from pg_extension where extname not in ('plpgsql', 'postgis_topology')")" 'citext fuzzystrmatch pg_trgm postgis unaccent'
  commit avril "MIGRATION=sql:create extension dblink" >/dev/null
  run -1 deploy --probation 0 avril
  assert_output --partial 'permission denied to create extension'
  run -0 script psql -c 'create extension dblink'
  commit avril "MIGRATION=sql:create extension if not exists dblink" >/dev/null
  run -0 deploy --probation 0 avril
}

# secret → where it is, of all containers
@test "a secret is in the environment of those alone who need it" {
  local name holders held service environment=()
  # As .env says it now.
  run -0 compose up --detach --wait
  run -0 deploy --probation 0 avril-profil
  run -0 deploy --probation 0 avril-livret1
  # shellcheck disable=SC2046 # identifiers
  mapfile -t environment < <(docker inspect \
    --format '{{index .Config.Labels "com.docker.compose.service"}} {{json .Config.Env}}' $(compose ps --quiet) | sort)
  assert_equal "$(printf '%s\n' "${environment[@]%% *}" | paste -sd' ')" \
    'minio nginx nuxt_booklet nuxt_profile phoenix postgres'
  while read -r name holders; do
    held=
    for service in "${environment[@]}"; do
      if grep -qF -- "$(setting "$name")" <<<"$service"; then held="$held ${service%% *}"; fi
    done
    assert_equal "$name$held" "$name${holders:+ $holders}"
  done <<'END'
POSTGRES_PASSWORD      postgres
POSTGRES_APP_PASSWORD  phoenix postgres
MINIO_ROOT_PASSWORD    minio
AWS_SECRET_ACCESS_KEY  minio phoenix
SECRET_KEY_BASE        phoenix
END
}

# bats test_tags=long
@test "an app's login owns what it owned after a restore of a new set, of an older one, and of one without owners" {
  local words
  run -0 script backup new
  while read -r words; do
    echo "$words"
    # shellcheck disable=SC2086 # words
    run -0 script backup_restore --yes $words
    refute_output --partial '!'
    run -0 superusers
    assert_output ''
    assert_equal "$(query <<<"select pg_get_userbyid(datdba) from pg_database where datname = 'avril'")" avril_app
    run -0 by_app 'alter table people add column restored int'
  done <<'END'
new
old
new --no-owner --no-acl
END
  run -0 script backup
  run -0 script backup --drill
}

# bats test_tags=long
@test "a first start gives the app its login: with an older dump, a new one, and none" {
  local dump roles=$BATS_TEST_TMPDIR/roles.json
  find "$BATS_FILE_TMPDIR/sets" -name roles.json | sort | tail -n 1 | xargs -d '\n' -I '{}' cp '{}' "$roles"
  for dump in old new none; do
    echo "$dump"
    compose down --volumes --timeout 2
    rm -f "$SITE"/db/dumps/latest*
    if [ "$dump" != none ]; then cp "$SITE/db/dumps/$dump.dump" "$SITE/db/dumps/latest.dump"; fi
    if [ "$dump" = new ]; then cp "$roles" "$SITE/db/dumps/latest-roles.json"; fi
    run -0 compose up --detach --wait
    run -0 superusers
    assert_output ''
    run -0 by_app 'create table if not exists people (id int); alter table people add column started int; create extension if not exists postgis'
    if [ "$dump" != none ]; then assert_equal "$(by_app 'select count(*) from people')" 50000; fi
    assert_equal "$(query <<<"select string_agg(rolname, ' ') from pg_roles where rolsuper")" avril
    run ! docker exec "$STACK-postgres-1" psql -U avril_app -d avril -c "copy people to program 'cat'"
  done
  run -0 script backup
}
