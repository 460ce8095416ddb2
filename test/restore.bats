#!/usr/bin/env bats
# backup_restore on a real stack: what it brings back, what it refuses, and that nothing good is lost when it is killed
# at any step.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
# Template strings of JavaScript.
# shellcheck disable=SC2016
load helpers/site

setup_file() {
  export SETS=$BATS_FILE_TMPDIR/sets KEPT=$BATS_FILE_TMPDIR/kept
  site_up avril-test-restore 18414 "BACKUP_DIR=$SETS"
  export DUMPS=$SITE/db/dumps
  mkdir -p "$SETS" "$KEPT"
  db <"$HERE/restore/rich.sql"
  dump --format=custom >"$DUMPS/latest.dump"
  # Of a set, so that it is not tried out in a throw-away server each time.
  make_set ours-20261101T030000Z
  describe >"$KEPT/dumped"
  go_on
  describe >"$KEPT/live"
}
teardown_file() { site_down; }

# After a test that failed half-way, too.
setup() { go_on; }
teardown() { load_abandon; }

db() { docker exec --interactive "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U avril -d avril "$@" 3>&-; }
dump() { docker exec "$STACK-postgres-1" pg_dump -U avril -d avril "$@" 3>&-; }
in_server() { docker exec "$STACK-postgres-1" "$@" 3>&-; }
restore() { script backup_restore "$@" </dev/null; }
describe() { db -d "${1:-avril}" <"$HERE/restore/describe.sql" | LC_ALL=C sort; }
databases() {
  db -c "select datname from pg_database where datname !~ '^template|^postgres' order by 1" | paste -sd' '
}
former() { db -c "select max(datname) from pg_database where datname like 'avril_before_%'"; }
# What a site does after a dump: with it "dumped" becomes "live".
go_on() { db -c 'delete from app.people where id < 2000'; }

assert_same() { run -0 diff "$KEPT/$1" <(describe "${2:-avril}"); }
assert_nothing_left() {
  run -0 find "$DUMPS" -name '.restoring-*'
  assert_output ''
  run -0 in_server find /var/lib/postgresql -name '.restoring*'
  assert_output ''
  refute_regex "$(databases)" restoring
  assert_equal "$(docker ps --all --quiet --filter "label=avril.restore=$STACK")" ''
  assert_equal "$(docker ps --all --quiet --filter "label=avril.drill=$STACK")" ''
}
# The live database is what it was, the app is up, and nothing is left over.
assert_untouched() {
  assert_same live
  assert_nothing_left
  run -0 greeting avril
}

# until_step STEP [options]: as restore_until, for the begin of a step
until_step() { restore_until "→ $1" "${@:2}"; }

@test "a restore under load brings back all kinds of objects, and no request fails: they wait; --undo, and its redo" {
  have_patience
  load_start --rate 15 --websocket 0 --timeout 300000
  # An app's connection: it lasts until somebody ends it, and is opened again at once.
  pool='touch /tmp/pool; while [ -e /tmp/pool ]; do psql -qAtX -U avril -d avril -c "select pg_sleep(60)" >/dev/null 2>&1; done'
  docker exec "$STACK-postgres-1" bash -c "$pool" 3>&- &
  run -0 --separate-stderr restore --yes --json
  docker exec "$STACK-postgres-1" rm /tmp/pool 3>&-
  db -c "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(60)'" >/dev/null
  local result=$output words=$stderr
  assert_no_request_lost
  assert_equal "$(node -p \
    'const it = JSON.parse(process.argv[1]); [it.result, it.database, it.swap < 10, Object.keys(it.seconds).join()].join(" ")' "$result")" \
    'restored avril true begin,open,prove,restore,check,analyze,swap,restart'
  assert_regex "$words" 'app.people: 19,000 → 20,000'
  assert_regex "$words" 'time without service: [0-9.]+ s at most'
  assert_same dumped
  assert_equal "$(db -c "select string_agg(distinct tablename, ',' order by tablename) from pg_stats where schemaname = 'app' and inherited")" events,parent
  assert_nothing_left
  restore --undo --yes
  assert_same live
  restore --undo --yes
  assert_same dumped
  run -0 greeting avril
  assert_equal "$(databases)" "avril $(former)"
  go_on
}

@test "dumps that cannot be right are refused, and nothing is touched" {
  local bad=$BATS_TEST_TMPDIR size
  size=$(stat -c %s "$DUMPS/latest.dump")
  : >"$bad/empty.dump"
  head -c $((size * 6 / 10)) "$DUMPS/latest.dump" >"$bad/cut.dump"
  head -c $((size - 10)) "$DUMPS/latest.dump" >"$bad/end.dump"
  sed 's/$/\r/' "$DUMPS/latest.dump" >"$bad/mangled.dump"
  dump --format=custom --schema-only >"$bad/schema.dump"
  dump --format=plain >"$bad/plain.dump"
  docker exec "$STACK-postgres-1" pg_dump -U avril -d template_postgis -Fc 3>&- >"$bad/other.dump"
  # The archive's own version, and that of the server.
  { printf 'PGDMP\001\377'; tail -c +8 "$DUMPS/latest.dump"; } >"$bad/newer.dump"
  LC_ALL=C sed '0,/\(\d0\d0\d0\)18\.\([0-9]* (Debian\)/s//\119.\2/' "$DUMPS/latest.dump" >"$bad/server.dump"
  cp "$DUMPS/latest.dump" "$bad/damaged.dump"
  sha256sum "$bad/damaged.dump" >"$bad/damaged.dump.sha256"
  printf '\377' | dd of="$bad/damaged.dump" bs=1 seek=$((size / 2)) conv=notrunc status=none

  local name reason
  while IFS='|' read -r name reason; do
    run -65 restore --yes "$bad/$name.dump"
    assert_output --regexp "error: .*$reason"
    assert_output --partial 'hint: nothing was touched'
  done <<'END'
empty|it is empty
cut|ends too early
end|is not a dump that can be used
mangled|is not a dump that can be used
schema|it holds no data of any table
plain|not an archive of pg_dump
other|is a dump of the database template_postgis, not of avril
newer|made by a newer PostgreSQL
server|was made of PostgreSQL 19
damaged|its sha256 is another
END
  assert_untouched
}

@test "what is not there, or not clear, is refused with what there is (64)" {
  run -64 restore --yes nothing
  assert_output --partial 'hint: there are: latest'
  run -64 restore --yes ./nothing.dump
  run -64 restore --yes '..'
  run -64 restore --yes "$SETS"
  assert_output --partial 'neither a backup set nor a dump'
  run -64 restore --into 'avril"; drop' latest
  run -64 restore --into avril latest
  assert_output --partial 'there is a database avril already'
  run -64 restore --undo latest
  run -64 restore
  assert_output --partial 'add --yes'
  assert_untouched
}

# make_set NAME [MEMBERS]: with more members of its manifest's database
make_set() {
  mkdir -p "$SETS/$1"
  cp "$DUMPS/latest.dump" "$SETS/$1/database.dump"
  : >"$SETS/$1/globals.sql"
  node -e '
    const [folder, name, sha256, members = "{}"] = process.argv.slice(1)
    const files = { "database.dump": { bytes: fs.statSync(`${folder}/database.dump`).size, sha256 }, "globals.sql": { bytes: 0, sha256: "0".repeat(64) } }
    const database = { name: "avril", server: "18.6", extensions: {}, tables: {}, ...JSON.parse(members) }
    fs.writeFileSync(`${folder}/manifest.json`, JSON.stringify({ version: 1, name, made: "2026-11-22T03:00:00.000Z", host: "there", who: "anna", database, files, objects: { count: 0, bytes: 0 } }))
  ' "$SETS/$1" "$1" "$(sha256sum "$SETS/$1/database.dump" | cut -d' ' -f1)" ${2:+"$2"}
}

@test "a backup set is found by the beginning of its name; --into restores beside, and swaps nothing" {
  make_set avril-20261120T030000Z
  make_set avril-20261121T030000Z
  run -64 restore --yes avril-2026112
  assert_output --partial 'avril-2026112 could be avril-202611'
  local started
  started=$(docker inspect --format '{{.State.StartedAt}}' "$STACK-phoenix-1")
  run -0 restore --into look avril-20261121
  assert_output --partial 'set avril-20261121T030000Z, made on there by anna'
  run -0 diff <(grep -v '^setting' "$KEPT/dumped") <(describe look | grep -v '^setting')
  assert_equal "$(docker inspect --format '{{.State.StartedAt}}' "$STACK-phoenix-1")" "$started"
  # What a set says of its dump is believed before, and compared afterwards.
  make_set avril-20261119T030000Z '{ "bytes": 1, "tables": { "public.nothing": 3 } }'
  run -65 restore --into again avril-20261119
  assert_output --partial 'rows after  3 rows in 1 table'
  assert_output --partial 'what was restored is not what the dump holds'
  printf 'x' >>"$SETS/avril-20261120T030000Z/database.dump"
  run -65 restore --into again "$SETS/avril-20261120T030000Z"
  assert_output --partial 'its sha256 is another'
  db -c 'drop database look'
  assert_untouched
}

@test "a dump in directory format, from another disk, with roles that this server lacks" {
  local other
  other=$(mktemp -d /dev/shm/restore.XXXXXX)
  db -c 'create role gone' -c 'create table app.theirs (id int)' -c 'alter table app.theirs owner to gone' \
    -c 'grant select on app.people to gone'
  dump --format=directory --file=/tmp/folder
  docker cp "$STACK-postgres-1:/tmp/folder" "$other/" 3>&-
  db -c 'drop table app.theirs' -c 'drop owned by gone' -c 'drop role gone'
  run -1 restore --yes "$other/folder"
  assert_output --partial 'this server has no role gone, and the dump needs it'
  run -0 restore --yes --into theirs --no-owner --no-acl "$other/folder"
  assert_equal "$(db -d theirs -c "select tableowner from pg_tables where tablename = 'theirs'")" avril
  rm "$other"/folder/*.dat.gz
  run -65 restore --yes "$other/folder"
  rm -rf "$other"
  db -c 'drop database theirs'
  assert_untouched
}

# strange_dump: a dump with what is in hostile.sql, of the database "stranger"
strange_dump() {
  db -c 'create database stranger template template0'
  db -d stranger <"$HERE/restore/hostile.sql"
  in_server pg_dump -U avril -d stranger --format=custom
  db -c 'drop database stranger'
  # The index was built once in here already.
  in_server rm -f /tmp/hostile
}

@test "a dump of no backup set is restored in a throw-away server without a network first, and what in it runs is named before anything is done here" {
  local strange=$BATS_TEST_TMPDIR/strange.dump broken=$BATS_TEST_TMPDIR/broken.dump
  strange_dump >"$BATS_TEST_TMPDIR/dump"
  # The texts of an archive are not compressed.
  LC_ALL=C sed "s/COMMENT ON TABLE public.victims IS 'This will be made a command of the same length, which no pg_dump would ever have written.'/$(
    printf '%-126s' "DO \$x\$ begin execute 'select 1'; end \$x\$;")/" "$BATS_TEST_TMPDIR/dump" >"$strange"
  LC_ALL=C sed 's/CREATE TABLE public.victims/CREATE TABEL public.victims/' "$BATS_TEST_TMPDIR/dump" >"$broken"
  assert_equal "$(stat -c %s "$strange")" "$(stat -c %s "$BATS_TEST_TMPDIR/dump")"

  : >"$BATS_TEST_TMPDIR/err"
  exec_script backup_restore --dry-run --json --from-database stranger \
    "$strange" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  local trial=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ try'
  local id end=$((SECONDS + 30))
  until id=$(docker ps --quiet --filter "label=avril.drill=$STACK") && [ -n "$id" ]; do [ "$SECONDS" -lt "$end" ]; done
  run -0 docker inspect --format \
    '{{.HostConfig.NetworkMode}} {{.HostConfig.CapDrop}} {{.Config.User}} {{.HostConfig.Binds}}' "$id"
  assert_output 'none [ALL] postgres []'
  await_exit "$trial" 0
  run -0 node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).runs.join("\n")' "$BATS_TEST_TMPDIR/out"
  local line
  while IFS= read -r line; do assert_line --partial "$line"; done <<'END'
the command DO ''
language stranger
function public.in_c() in c, which has all rights in the container
function public.on_index(text) in plpgsql, called by index public.by_program
function public.on_view() in sql, called by materialized view public.seen
function public.on_check(text) in plpgsql, called by constraint checked_check
function public.on_generated(integer) in sql, called by default value for column b of table public.more
function public.on_default() in sql, called by default value for column c of table public.more
function public.on_write() in plpgsql, called by trigger written on table public.more
function public.on_operator(text,text) in sql, called by index public.by_operator
function public.on_statistics(integer) in sql, called by statistics object public.counted
function public.on_partition(integer) in sql, called by table public.parts
function public.on_commands() in plpgsql, called by event trigger commanded
extension pg_trgm
functions that only others can call: 2
END

  run -64 restore --from-database stranger "$strange"
  assert_output --partial "$strange is of no backup set of this server"
  assert_output --partial "the command DO ''"
  assert_output --partial 'add --yes'
  run -64 restore --from-database stranger --into look "$strange"
  assert_output --partial 'add --yes'
  run -65 restore --yes --from-database stranger "$broken"
  assert_output --partial 'cannot be restored, not even in a throw-away server'
  run -1 in_server test -e /tmp/hostile
  assert_equal "$(docker ps --all --quiet --filter "label=avril.drill=$STACK")" ''
  assert_untouched

  run -0 restore --yes --from-database stranger --into look "$strange"
  assert_output --partial "the command DO ''"
  assert_equal "$(db -d look -c 'select count(*) from public.victims')" 10
  run -0 in_server rm /tmp/hostile
  db -c 'drop database look'
}

@test "a disk that is full for the copy of the dump: 74, and nothing is touched" {
  local df
  df=$(in_server sh -c 'command -v df')
  in_server sh -c 'mv "$0" "$0.real" && printf "#!/bin/sh\\necho Avail; echo 1000\\n" >"$0" && chmod 755 "$0"' "$df"
  run restore --yes
  in_server mv -f "$df.real" "$df"
  assert_equal "$status" 74
  assert_output --partial 'left, and the dump, which is copied there, is'
  assert_untouched
}

@test "a link or a pipe that a container has put into db/dumps is neither followed nor waited for" {
  local secret=$BATS_TEST_TMPDIR/secret.dump word
  install -m 600 "$DUMPS/latest.dump" "$secret"
  ln -s "$secret" "$DUMPS/leak.dump"
  ln -s "$BATS_TEST_TMPDIR" "$DUMPS/folder.dump"
  mkfifo "$DUMPS/pipe.dump"
  for word in leak "$DUMPS/leak.dump" folder; do
    run -64 restore --yes "$word"
    assert_output --partial 'is a link that leads out of db/dumps'
  done
  for word in pipe "$DUMPS/pipe.dump"; do
    run -64 timeout 60 node "$SITE/scripts/backup_restore.js" --yes "$word" </dev/null
    assert_output --partial 'is neither a file nor a folder'
  done
  assert_equal "$(stat -c %h "$secret")" 1
  rm "$DUMPS"/{leak,folder,pipe}.dump
  assert_untouched
}

@test "the server's container cannot write to db/dumps, and what runs in it for a restore does not run as root" {
  run -1 in_server touch /pg-dump/latest.dump
  assert_output --partial 'Read-only file system'
  until_step restore
  local end=$((SECONDS + 30))
  until run -0 docker top "$STACK-postgres-1" -o pid,uid,args && [[ $output = *pg_restore* ]]; do
    [ "$SECONDS" -lt "$end" ]
  done
  # The health check, which may be there at this moment, begins as root.
  refute_line --regexp '^[0-9]+ +0 .*(bring_back|pg_restore|--no-psqlrc)'
  await_exit "$RESTORE" 0
  run -0 restore --undo --yes
  assert_untouched
}

@test "on a terminal it asks for the database's name" {
  local command
  printf -v command '%q ' node "$SITE/scripts/backup_restore.js"
  run -1 script_tty "$command" yes
  assert_output --partial 'Type avril to go on'
  assert_output --partial '"yes" was typed, not avril'
  assert_untouched
}

script_tty() {
  (sleep 0.1; echo "$2"; cat "$BATS_TEST_TMPDIR/hold" 2>/dev/null) |
    command script --quiet --return --command "$1" /dev/null 3>&-
}

# bats test_tags=long
@test "kill -9 at each step: the live database is as it was, and the next run is clean" {
  local step
  for step in prove restore check analyze; do
    until_step "$step"
    kill -9 "$RESTORE"
    await_exit "$RESTORE" 137
    assert_same live
  done
  # One of no set.
  dump --format=custom >"$BATS_TEST_TMPDIR/strange.dump"
  until_step try "$BATS_TEST_TMPDIR/strange.dump"
  timeout 60 bash -c 'until [ -n "$(docker ps --quiet --filter "label=avril.drill=$STACK")" ]; do sleep 0.1; done'
  kill -9 "$RESTORE"
  await_exit "$RESTORE" 137
  assert_same live
  # From here on it may be either; never something between.
  until_step swap
  kill -9 "$RESTORE"
  await_exit "$RESTORE" 137
  run -0 restore --dry-run
  assert_nothing_left
  if diff "$KEPT/live" <(describe) >/dev/null; then
    restore --yes
  fi
  assert_same dumped
  until_step restart --undo
  kill -9 "$RESTORE"
  await_exit "$RESTORE" 137
  assert_same live
  compose up --detach --wait phoenix 2>&1
  assert_untouched
}

@test "postgres dies in the middle: the live database is as it was, and the next run is clean" {
  until_step restore
  docker kill "$STACK-postgres-1" 3>&-
  await_exit "$RESTORE" 1
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'nothing was restored'
  compose up --detach --wait postgres 2>&1
  run -0 restore --dry-run
  assert_untouched
}

# held: a restore, as RESTORE, that is halted in its step "restore" until it is told to go on
held() {
  until_step restore
  kill -STOP "$RESTORE"
}

@test "a second restore and a deploy end with 75 and say who is restoring; SIGTERM and Ctrl-C take it back at once" {
  held
  run -75 restore --yes
  assert_output --regexp 'held by .*restoring since .*, step'
  run -75 deploy avril
  assert_output --regexp 'held by .*restoring since .*, step'
  kill -TERM "$RESTORE"
  kill -CONT "$RESTORE"
  await_exit "$RESTORE" 143
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'nothing was restored: stopped by SIGTERM'
  assert_untouched
  held
  kill -INT "$RESTORE"
  kill -CONT "$RESTORE"
  await_exit "$RESTORE" 130
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'hint: avril is as it was'
  assert_untouched
}

@test "postgres is stopped: a container of its own serves the restore, also after one that was killed" {
  compose stop postgres 2>&1
  until_step prove
  kill -9 "$RESTORE"
  await_exit "$RESTORE" 137
  # As one of no set, which a throw-away server of the same image tries out.
  set_env "BACKUP_DIR=$BATS_TEST_TMPDIR"
  run -0 restore --yes
  set_env "BACKUP_DIR=$SETS"
  assert_output --partial 'is of no backup set of this server'
  assert_output --partial 'a container of its own serves its data meanwhile'
  assert_output --partial 'which an interrupted restore left'
  assert_same dumped
  assert_nothing_left
  run -0 compose ps --format '{{.Service}} {{.Health}}' postgres phoenix
  assert_equal "$(sort <<<"$output" | paste -sd,)" 'phoenix healthy,postgres healthy'
  go_on
  assert_untouched
}

# bats test_tags=long
@test "postgres cannot start: the data is restored all the same, and the words say what is left to do" {
  db -c "alter system set shared_preload_libraries = 'nonsense'"
  docker restart "$STACK-postgres-1" 3>&-
  # What was stopped for the restore is started again when that is called off.
  until_step 'postgres does not run'
  kill -TERM "$RESTORE"
  await_exit "$RESTORE" 143
  assert_regex "$(docker inspect --format '{{.State.Status}}' "$STACK-postgres-1")" '^(running|restarting)$'
  run -1 restore --yes
  assert_output --partial 'does not answer'
  assert_output --partial 'the database is restored, but postgres does not start'
  compose stop postgres 2>&1
  # shellcheck disable=SC2016 # for the container
  compose run --rm --no-deps --no-TTY --entrypoint bash postgres \
    -c 'sed -i /nonsense/d "$PGDATA/postgresql.auto.conf"' </dev/null
  compose up --detach --wait 2>&1
  assert_same dumped
  assert_nothing_left
  go_on
}

@test "an app that does not come back: 1, its log and the way back" {
  docker exec "$STACK-phoenix-1" sh -c 'cp fixture.env kept.env; echo EXIT_AFTER=0 >fixture.env' 3>&-
  run -1 restore --undo --yes
  assert_output --partial 'avril is replaced, but an app did not get healthy after it'
  assert_output --partial 'EXIT_AFTER in fixture.env: ending'
  assert_output --partial 'to go back to the former database: backup_restore.ts --undo'
  compose up --detach --force-recreate --no-deps --wait phoenix 2>&1
  run -0 restore --undo --yes
  assert_untouched
}

@test "former databases are removed when their time is over, and nothing else" {
  local name
  for name in avril_before_20200101t000000z avril_before_20209901t000000z avril_beforehand avril_before_20200101t000000z_mine; do
    db -c "create database $name"
  done
  local before
  before=$(databases)
  run -0 node --input-type=module -e '
    const [site, project] = process.argv.slice(1)
    const { removeFormer } = await import(`${site}/lib/postgres/former_databases.js`)
    const { findServer } = await import(`${site}/lib/postgres/server.js`)
    console.log(await removeFormer(await findServer(project, { POSTGRES_USER: "avril", POSTGRES_DB: "avril" }), 7))' "$SITE" "$STACK"
  assert_output "[ 'avril_before_20200101t000000z' ]"
  assert_equal "$(databases)" "${before/ avril_before_20200101t000000z / }"
}

@test "statistics come with the dump, and only what lacks some is analyzed; with --anonymise none come, and all is analyzed" {
  local analyzed="select count(*) from pg_stat_user_tables where schemaname = 'app' and last_analyze is not null and n_live_tup > 0"
  local known="select count(*) from pg_stats where schemaname = 'app'"
  db -c analyze
  local had
  had=$(db -c "$known")
  script backup --no-files
  restore --yes latest
  assert_equal "$(db -c "$known")" "$had"
  assert_equal "$(db -c "$analyzed")" 0
  echo 'delete from app."Odd ""name"' >"$BATS_TEST_TMPDIR/anonymise.sql"
  restore --into anonymous --anonymise "$BATS_TEST_TMPDIR/anonymise.sql" latest
  assert [ "$(db -d anonymous -c "$analyzed")" -gt 5 ]
  # What they told of its rows is not left of a table that is empty now.
  assert_equal "$(db -d anonymous -c "select count(*) from pg_stats where tablename like 'Odd%'")" 0
  db -c 'drop database anonymous'
}

@test "READY_COPY: restoring the last backup is a rename; whoever wants another one, or more of it, has it restored as ever" {
  local former
  former=$(basename "$(script backup --no-files 2>/dev/null)")
  # As a dump makes it again.
  db -c 'refresh materialized view app.people_by_state'
  printf 'READY_COPY=on\n' >>"$SITE/.env"
  run -0 script backup --no-files
  assert_output --regexp 'avril_ready_[0-9tz]+ is ready'
  local ready
  ready=$(db -c "select datname from pg_database where datname like 'avril_ready_%'")
  describe | grep -v ^setting >"$BATS_TEST_TMPDIR/saved"
  run -2 db -d "$ready" -c 'select 1'
  db -c 'delete from app.people where id < 3000'
  run -0 restore --dry-run
  assert_output --partial "$ready has been filled from it and compared"
  run -0 restore --dry-run "$former"
  refute_output --partial "$ready"
  run -0 restore --dry-run --no-owner
  refute_output --partial "$ready"
  run -0 --separate-stderr restore --yes --json
  assert_equal "$(node -p 'Object.keys(JSON.parse(process.argv[1]).seconds).join()' "$output")" \
    begin,open,prove,swap,restart
  run -0 diff "$BATS_TEST_TMPDIR/saved" <(describe | grep -v ^setting)
  run -0 greeting avril
  restore --undo --yes
  assert [ "$(db -c 'select count(*) from app.people where id < 3000')" -eq 0 ]
  sed -i '/^READY_COPY=/d' "$SITE/.env"
  restore --undo --yes
  script backup --no-files
  assert_equal "$(db -c "select count(*) from pg_database where datname like 'avril_ready_%'")" 0
}

@test "status ends with 1 when the newest backup is older than 26 hours, and with 0 once there is another" {
  local set
  run --separate-stderr -0 script backup
  set=$(basename "$output")
  # As if it had been made 27 hours ago.
  sed -i "s/\"made\": .*/\"made\": \"$(date -u -d '27 hours ago' +%Y-%m-%dT%H:%M:%SZ)\",/" "$SETS/$set/manifest.json"
  find "$SETS" -mindepth 1 -maxdepth 1 -type d ! -path "$SETS/$set" -exec rm -r {} +
  run -1 script status
  assert_output --partial "✗ last backup  $set, verified, 27 hours old, "
  assert_output --partial 'the newest backup is 27 hours old'
  run -0 script backup
  run -0 script status
}

# drill_until_app: a drill in the background, as DRILL, until the app is started on what it restored, as APP; it stands
# still then, so that it does not end while somebody looks
drill_until_app() {
  : >"$BATS_TEST_TMPDIR/err"
  exec_script backup --drill >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  DRILL=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ app: phoenix'
  local end=$((SECONDS + 60))
  until APP=$(docker ps --quiet --filter "label=avril.drill=$STACK" \
    --filter label=com.docker.compose.service=phoenix) && [ -n "$APP" ]; do
    [ "$SECONDS" -lt "$end" ]
  done
  kill -STOP "$DRILL"
}

@test "a drill starts the live release on what it restored: it reaches nobody, is no instance, and is swept after a kill; data that it cannot read fail it (65)" {
  # A new instance that is not well is given up sooner.
  sed -i 's/start_period: 60s/start_period: 6s/' "$SITE/docker-compose.yml"
  local set page=$SETS/drill.html
  run --separate-stderr -0 script backup
  set=$(basename "$output")

  # What the release needs is made by its migration, which the set is older than.
  commit avril HEALTH=reads:app.notices 'MIGRATION=sql:create table if not exists app.notices as select 1 as n'
  run -0 deploy --probation 0 avril
  drill_until_app
  run -0 docker inspect --format \
    '{{json .HostConfig.Binds}} {{json .Mounts}} {{.HostConfig.OomScoreAdj}} {{.HostConfig.Memory}}' "$APP"
  assert_output 'null [] 1000 2147483648'
  run -0 docker exec "$APP" sh -c 'wc -l </proc/net/route; ls /sys/class/net; printenv POSTGRES_DB'
  assert_output $'1\nlo\navril'
  run -0 instances phoenix
  assert_equal "${#lines[@]}" 1
  run -0 script status
  kill -9 "$DRILL"
  await_exit "$DRILL" 137

  run --separate-stderr -0 script backup --drill --json
  assert_equal "$(node -p 'const { apps } = JSON.parse(process.argv[1]); JSON.stringify(apps[0].answers)' "$output")" \
    '[{"path":"/","status":200}]'
  assert_regex "$stderr" "$set was restored in .* and phoenix showed its page on it"
  assert_nothing_left
  assert_equal "$(docker network ls --quiet --filter "name=$STACK-drill")" ''
  assert_equal "$(stat -c %a "$page")" 600
  run -0 cat "$page"
  assert_output --partial '<html lang="fr">'
  assert_output --partial '/ a répondu 200'
  assert_output --partial 'app.people'
  refute_output --regexp '<script|https?://|src='
  run script status
  assert_output --partial 'phoenix showed its page'

  # The same release without its migration.
  commit avril HEALTH=reads:app.notices LOG=hello
  run -0 deploy --probation 0 avril
  run --separate-stderr -65 script backup --drill
  assert_regex "$stderr" "phoenix cannot work with what $set brings back"
  assert_regex "$stderr" 'hello'
  assert_regex "$stderr" 'relation "app.notices" does not exist'
  assert_regex "$stderr" 'avril.drill.start'
  assert_nothing_left
  run -0 cat "$page"
  assert_output --partial 'essai a échoué'
  run -1 script status
  assert_output --partial 'the last drill failed'

  # Who cannot start without the world outside is left out.
  printf 'services:\n  phoenix:\n    labels: { avril.drill.start: "no" }\n' >"$SITE/docker-compose.override.yml"
  run --separate-stderr -0 script backup --drill
  assert_regex "$stderr" 'phoenix was not started'
  run -0 grep -c 'non démarrée' "$page"
  rm "$SITE/docker-compose.override.yml"
}
