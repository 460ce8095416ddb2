#!/usr/bin/env bats
# postgres_upgrade on a real stack, from the PostgreSQL of the Debian before to that of docker-compose.yml, while
# somebody writes; and back. One after the other: each test begins where the one before ended.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site
load helpers/notices

OLD=avril-old-postgis:15

setup_file() {
  "$HERE/images.sh" old 2>&1
  export KEPT=$BATS_FILE_TMPDIR/kept
  mkdir -p "$KEPT"
  site_make avril-test-upgrade 18478
  quiet_probes
  set_env POST_RATE=10000 DRAIN_SECONDS=10 "BACKUP_DIR=$BATS_FILE_TMPDIR/sets"
  printf 'POSTGRES_IMAGE=%s\n' "$OLD" >>"$SITE/.env"
  compose up --detach --wait --quiet-pull 2>&1
  db <"$HERE/restore/rich.sql"
  db <"$HERE/fixtures/sorted.sql"
  db -c 'create database other' -c "alter role reader password 'of-reader'"
  db -d other -c 'create table kept as select generate_series(1, 7) as n' -c 'create table emptied as table kept' \
    -c 'create sequence numbers'
  describe >"$KEPT/old"
}
teardown_file() {
  docker ps --all --quiet --filter "name=^$STACK-writer\$" | xargs --no-run-if-empty docker rm --force >/dev/null
  docker ps --all --quiet --filter "label=avril.upgrade=$STACK" |
    xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  site_down
  docker volume ls --quiet --filter "name=${STACK}_" | xargs --no-run-if-empty docker volume rm --force >/dev/null
}
teardown() {
  load_abandon
  hear_no_more
  set_env NOTICE_URL=
  rm -rf "$SITE/hooks"
}

db() { docker exec --interactive "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U avril -d avril "$@" 3>&-; }
upgrade() { script postgres_upgrade "$@" </dev/null; }
version() { db -c 'show server_version_num' | cut -c 1-2; }
volumes() { docker volume ls --quiet --filter "name=${STACK}_postgres" | sort | paste -sd' '; }
live_volume() {
  docker inspect --format '{{range .Mounts}}{{if eq .Destination "/var/lib/postgresql"}}{{.Name}}{{end}}{{end}}' \
    "$STACK-postgres-1"
}

# What the two versions say alike: the rights have one more from 17 on, the checks of 18 those that columns are not
# null, extensions are newer.
describe() {
  sed "s/datlocale,/to_jsonb(pg_database) ->> 'datlocale',/; s/and conname/and contype <> 'n' and conname/; s/'setting', setrole,/'setting', nullif(setrole, 0)::regrole,/" "$HERE/restore/describe.sql" |
    docker exec --interactive "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U avril -d avril 3>&- |
    grep -vE '^(extension|tiger\.|topology\.|rights\|(public|tiger|topology)\.|constraint\|.*\|NOT NULL)|^sequence\|(tiger|topology)' | sed -E '/^rights/s/([a-zA-Z])m\//\1\//g' | LC_ALL=C sort
}

# What an app writes: each time a row in a table with a key and one in a table without, a change, a number of a
# sequence. What was acknowledged is noted.
write_start() {
  # shellcheck disable=SC2016 # of that shell
  local loop='n=0; until [ -e /tmp/stop ]; do n=$((n + 1))
    psql -XqAt -h postgres -U avril -d avril -v ON_ERROR_STOP=1 -c "begin; insert into app.people (email, notes) values ('"'w\$n@writer.org', 'written'"'); insert into app.empty values ($n);
      update app.people set notes = '"'changed'"' where id = 1000 + $n; delete from app.people where id = 20000 - $n; commit; select nextval('"'app.numbers'"')" >/dev/null 2>&1 && echo $n >>/tmp/written
    done; touch /tmp/ended; exec sleep infinity'
  docker rm --force "$STACK-writer" >/dev/null 2>&1 || true
  docker run --detach --init --name "$STACK-writer" --network "${STACK}_back" --env PGPASSWORD=change-me \
    --env PGCONNECT_TIMEOUT=5 --entrypoint bash "$OLD" -c "$loop" 3>&- >/dev/null
  await_written '[ -s /tmp/written ]'
}
# await_written CONDITION: of bash, in the writer's container
await_written() {
  docker exec "$STACK-writer" timeout 120 bash -c "n=\$(cat /tmp/written | wc -l); until $1; do sleep 0.1; done" 3>&-
}
# write_stop: has it end when it has written to the server of now, and leaves what was acknowledged in
# $BATS_TEST_TMPDIR/written
write_stop() {
  # shellcheck disable=SC2016 # of that shell
  await_written '[ "$(wc -l </tmp/written)" -gt "$n" ]'
  docker exec "$STACK-writer" bash \
    -c 'touch /tmp/stop; until [ -e /tmp/ended ]; do sleep 0.1; done; cat /tmp/written' 3>&- >"$BATS_TEST_TMPDIR/written"
  docker rm --force "$STACK-writer" >/dev/null
}
# All that was acknowledged is there, in both tables.
assert_written_is_there() {
  assert [ -s "$BATS_TEST_TMPDIR/written" ]
  assert_equal "$(db -c 'create temp table w (n int)' -c '\copy w from pstdin' \
    -c "select count(*) from w where not exists (select from app.people where email = 'w' || n || '@writer.org') or not exists (select from app.empty where id = n)
      or exists (select from app.people where id = 20000 - n or id = 1000 + n and notes is distinct from 'changed')" <"$BATS_TEST_TMPDIR/written")" 0
}
# Takes back what was written but the numbers of sequences.
forget_written() { db -c "delete from app.people where email like '%@writer.org'" -c 'delete from app.empty'; }

assert_nothing_left() {
  assert_equal "$(docker ps --all --quiet --filter "label=avril.upgrade=$STACK")" ''
  assert_equal "$(db -c 'select (select count(*) from pg_replication_slots) + (select count(*) from pg_publication) + (select count(*) from pg_subscription)')" 0
  assert_equal "$(db -c "select string_agg(name || '=' || setting, ' ') from pg_file_settings where sourcefile ~ 'auto.conf'")" "${1-}"
  run -0 cat "$SITE/.state/postgres_upgrade.json"
  refute_output --partial under_way
  assert [ ! -e "$SITE/.env.next" ]
  assert_compose_agrees postgres
  run -0 greeting avril
}

@test "an image that was changed by hand is refused before anything is written, and the command starts the version of the data again" {
  local before
  docker stop "$STACK-postgres-1"
  before=$(docker run --rm --entrypoint find --volume "${STACK}_postgres:/v" "$OLD" /v -maxdepth 3 | sort)
  sed -i '/^POSTGRES_IMAGE=/d' "$SITE/.env"
  run compose up --detach --no-deps --wait postgres
  assert_failure
  run -0 compose logs postgres
  assert_output --partial 'are of PostgreSQL 15, and this image is PostgreSQL 18'
  assert_output --partial 'tsx scripts/postgres_upgrade.ts'
  assert_equal "$(docker run --rm --entrypoint find --volume "${STACK}_postgres:/v" "$OLD" /v -maxdepth 3 | sort)" \
    "$before"
  run -78 upgrade --dry-run
  assert_output --partial 'name the image that they were served by: --old-image'
  run -0 --separate-stderr upgrade --dry-run --old-image "$OLD"
  assert_line --regexp '^way +replication'
  assert_equal "$(version)" 15
  assert_equal "$(volumes)" "${STACK}_postgres"
  run -0 diff "$KEPT/old" <(describe)
  assert_nothing_left
}

@test "the site is read and written to while its data go to the new version: no request fails, no row is lost; and back, and forth again" {
  have_patience
  hear
  set_env "NOTICE_URL=$HEARD_URL"
  hook before-upgrade <<<'exit 1'
  run -77 upgrade --yes
  assert_output --partial 'the hook hooks/before-upgrade refuses the upgrade'
  assert_equal "$(version) $(volumes)" "15 ${STACK}_postgres"
  hook before-upgrade </dev/null
  hook after-upgrade </dev/null
  load_start --rate 10 --websocket 0 --timeout 300000
  write_start
  run -0 --separate-stderr upgrade --yes --json
  local result=$output
  write_stop
  assert_no_request_lost
  assert_equal "$(node -p \
    'const it = JSON.parse(process.argv[1]); [it.result, it.from, it.to, it.kept, it.lost.length].join(" ")' "$result")" "upgraded 15 18 ${STACK}_postgres 0"
  assert_equal "$(version)" 18
  assert_written_is_there
  assert_nothing_left
  assert_equal "$(got before-upgrade kind) $(got after-upgrade result) $(got after-upgrade from) $(got after-upgrade \
    to) $(got after-upgrade lost)" 'upgrade done 15 18 0'
  run -0 heard
  assert_line --index 0 --regexp 'has begun the upgrade of PostgreSQL 15 to 18$'
  assert_line --index 1 --regexp \
    'PostgreSQL 18 serves the site, brought by .* are the same in both; requests waited for .* --undo$'
  # The next number is one that nobody has got; a role logs in as it did; indexes are sorted as they are looked through.
  assert_equal "$(db -c "select nextval('app.numbers') > 7 + 3 * $(wc -l <"$BATS_TEST_TMPDIR/written")")" t
  docker exec --env PGPASSWORD=of-reader "$STACK-postgres-1" psql \
    -h "$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$STACK-postgres-1")" \
    -U reader -d avril -c 'select count(*) from app.people' 3>&-
  assert_equal "$(db -d other -c 'select count(*) from kept')" 7
  db -c 'create extension amcheck' \
    -c "select bt_index_check(indexrelid, true) from pg_index join pg_class c on c.oid = indexrelid where relam = (select oid from pg_am where amname = 'btree') and relkind = 'i'" >/dev/null
  db -c 'drop extension amcheck'
  assert_equal "$(db -c 'select count(*) from pg_collation where collversion <> pg_collation_actual_version(oid)')" 0
  run -0 diff <(grep -vE '^(sequence|app.people)' "$KEPT/old") \
    <(forget_written; describe | grep -vE '^(sequence|app.people)')

  local new
  new=$(live_volume)
  run -0 upgrade --undo --yes
  assert_output --partial 'PostgreSQL 15 serves the site again'
  assert_equal "$(got after-upgrade kind) $(got after-upgrade to)" 'undo 15'
  assert_equal "$(version) $(live_volume)" "15 ${STACK}_postgres"
  assert_equal "$(db -c 'show wal_level')" replica
  # As it was put aside: with all that had been acknowledged until then.
  assert [ "$(db -c "select count(*) from app.people where email like '%@writer.org'")" -gt 5 ]
  assert_nothing_left
  run -0 upgrade --undo --yes
  assert_equal "$(version) $(live_volume)" "18 $new"
  assert_nothing_left
}

@test "indexes that another library sorted are found, and built anew while the site goes on" {
  local built='select relfilenode from pg_class where oid = any (array['"'app.sorted_word', 'app.no_two', 'app.sorted_other'"']::regclass[]) order by oid' before after
  db -c "update pg_collation set collversion = '1' where collname = 'fr-x-icu'"
  mapfile -t before < <(db -c "$built")
  run -0 upgrade
  assert_output --partial 'there is nothing to upgrade'
  assert_output --partial 'fr-x-icu'
  assert_output --partial '2 indexes of avril are sorted as this image sorts'
  mapfile -t after < <(db -c "$built")
  assert [ "${before[0]}" != "${after[0]}" ] && assert [ "${before[1]}" = "${after[1]}" ] &&
    assert [ "${before[2]}" != "${after[2]}" ]
  assert_equal "$(db -c 'select count(*) from pg_collation where collversion <> pg_collation_actual_version(oid)')" 0
  run -0 upgrade
  refute_output --partial sorted
}

# Each of the tests that follow begins on the old server.
on_old() { [ "$(version)" = 15 ] || upgrade --undo --yes; }

# begin STEP [options]: an upgrade in the background, as UPGRADE, that has entered the step
begin() {
  : >"$BATS_TEST_TMPDIR/err"
  exec_script postgres_upgrade --yes "${@:2}" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  UPGRADE=$!
  await_line "$BATS_TEST_TMPDIR/err" "^→ $1"
}

# killed_at STEP [SETTING]: then the old server goes on, and the next run removes what was left; SETTING is what ALTER
# SYSTEM has set all the while
killed_at() {
  local before
  before=$(volumes)
  forget_written
  begin "$1"
  kill -9 "$UPGRADE"
  wait "$UPGRADE" || true
  write_start
  write_stop
  run -0 greeting avril
  assert_equal "$(version)" 15
  run -1 script status
  assert_output --regexp '✗ postgres  the upgrade to PostgreSQL 18 .* did not end.*: tsx scripts/postgres_upgrade.ts'
  run script setup --check
  assert_output --partial 'the upgrade to PostgreSQL 18'
  run -0 upgrade --dry-run
  assert_output --partial 'did not end'
  assert_written_is_there
  assert_equal "$(volumes)" "$before"
  assert_nothing_left "${@:2}"
}

@test "killed before the switch the old server goes on; killed in it the switch is made all the same; the next run puts all in order" {
  on_old
  db -c "alter system set max_slot_wal_keep_size = '512MB'"
  killed_at copy max_slot_wal_keep_size=512MB
  db -c 'alter system reset max_slot_wal_keep_size'
  killed_at switch
  forget_written
  docker wait "$STACK-postgres-1" >"$BATS_TEST_TMPDIR/ended" 3>&- &
  local ended=$!
  begin switch
  wait "$ended"
  kill -9 "$UPGRADE"
  wait "$UPGRADE" || true
  write_start
  write_stop
  assert_equal "$(version)" 18
  assert_written_is_there
  run -0 upgrade
  assert_output --partial 'there is nothing to upgrade'
  # What they remember of types is of the former server.
  assert_line --regexp '^→ restart: .*phoenix'
  assert_nothing_left
  run -0 upgrade --undo --yes
  assert_equal "$(version)" 15
}

# bats test_tags=long
@test "killed at each of the other steps" {
  local step
  on_old
  for step in prove restart publish compare follow; do killed_at "$step"; done
  begin follow
  kill -INT "$UPGRADE"
  await_exit "$UPGRADE" 130
  assert_nothing_left
}

@test "without replication whoever reads goes on, and whoever writes waits; another database that was written to meanwhile comes as it is then" {
  on_old
  forget_written
  write_start
  begin lock --window
  db -d other -c 'update kept set n = 8 where n = 7' -c 'truncate emptied' \
    -c "select nextval('numbers') from kept" >/dev/null
  run -0 greeting avril
  await_exit "$UPGRADE" 0
  write_stop
  assert_equal "$(version)" 18
  assert_written_is_there
  assert_equal "$(db -d other -c "select max(n), (select count(*) from emptied), nextval('numbers') from kept")" '8|0|8'
  assert_nothing_left
  # The way back from a server that does not start any more.
  docker stop "$STACK-postgres-1"
  docker run --rm --entrypoint sh --volume "$(live_volume):/v" "$OLD" -c 'rm /v/*/docker/global/pg_control'
  run -0 upgrade --undo --yes
  assert_equal "$(version)" 15
}

# bats test_tags=long
@test "from PostgreSQL 17: refused by an 18 of an older release than it, before anything is touched; else no row is lost, and there is a way back" {
  local seventeen=avril-old-postgis:17
  "$HERE/images.sh" old 17 2>&1
  compose down --volumes --timeout 2 2>&1
  docker volume ls --quiet --filter "name=${STACK}_postgres" |
    xargs --no-run-if-empty docker volume rm --force >/dev/null
  rm -f "$SITE/.state/postgres_upgrade.json"
  sed -i -E '/^POSTGRES_(IMAGE|VOLUME)=/d' "$SITE/.env"
  printf 'POSTGRES_IMAGE=%s\n' "$seventeen" >>"$SITE/.env"
  compose up --detach --wait 2>&1
  db <"$HERE/restore/rich.sql"
  db <"$HERE/fixtures/sorted.sql"
  describe >"$KEPT/seventeen"
  # What Debian has of the two is not always of the same day.
  if db -c "select 'noted' from pg_attribute where attoptions::text ~ 'pg_attver' limit 1" | grep -q noted &&
    ! docker run --rm --entrypoint sh postgis/postgis:18-3.6 \
    -c 'grep -q pg_attver /usr/lib/postgresql/18/bin/pg_dump' 3>&-; then
    run -78 upgrade --yes
    assert_output --partial 'is of an older release than avril-old-postgis:17'
    assert_output --partial 'nothing was touched'
    assert_equal "$(version) $(volumes)" "17 ${STACK}_postgres"
    assert_nothing_left
    run -0 diff "$KEPT/seventeen" <(describe)
    return
  fi
  write_start
  run -0 upgrade --yes
  write_stop
  assert_equal "$(version)" 18
  assert_written_is_there
  assert_nothing_left
  run -0 diff <(grep -vE '^(sequence|app.people)' "$KEPT/seventeen") \
    <(forget_written; describe | grep -vE '^(sequence|app.people)')
  run -0 upgrade --undo --yes
  assert_equal "$(version)" 17
}
