# Backup sets, on a real PostgreSQL: made, verified, listed, kept, tried out, run by a real cron.
# bats sets these in `run`; what stands in single quotes is for a shell in the container.
# shellcheck disable=SC2154,SC2016
bats_require_minimum_version 1.5.0

setup_file() {
  load helpers/site.bash
  load helpers/held.bash
  export SETS="$BATS_FILE_TMPDIR/the sets"
  site_make avril-test-backup 18415
  set_env "BACKUP_DIR='$SETS'"
  compose up --detach --wait --quiet-pull postgres minio 2>&1
  psql <<'SQL'
    create table visitors (id serial primary key, name text not null, at geometry(Point, 4326));
    insert into visitors (name, at) select 'visitor ' || n, st_setsrid(st_point(n % 180, n % 90), 4326) from generate_series(1, 5000) n;
    create schema "Odd schema";
    create table "Odd schema"."a (table" (text text);
    insert into "Odd schema"."a (table" values (E'two\nlines'), (E'\\.'), (null);
    create table nothing ();
    create view adults as select * from visitors where id > 18;
SQL
}

teardown_file() {
  load helpers/site.bash
  compose down --volumes --remove-orphans --timeout 2 2>&1
  docker ps --all --quiet --filter "label=avril.drill=$STACK" |
    xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  rm -f "/etc/cron.d/$STACK-backup"
}

setup() {
  load helpers/site.bash
  load helpers/held.bash
  load helpers/notices.bash
}

teardown() {
  cron_stop
  hear_no_more
  if [ -n "${LOCK_PID:-}" ]; then kill "$LOCK_PID" 2>/dev/null || true; fi
  if [ -n "${REAL:-}" ]; then docker exec "$(postgres)" mv -f "$REAL.real" "$REAL"; fi
  if [ -n "${TMPFS:-}" ]; then umount "$TMPFS" || true; fi
  set_env NOTICE_URL= PING_URL= "BACKUP_DIR='$SETS'"
}

backup() { script backup "$@"; }

postgres() {
  docker ps --quiet --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=postgres
}

# By its time, which ends its name.
newest() {
  find "$SETS" -mindepth 1 -maxdepth 1 -type d -name '*Z' | sed 's/.*-\(.*\)$/\1 &/' | sort | tail -n 1 |
    cut -d ' ' -f 2-
}

# field SET NAME: of its manifest
field() { node -p "JSON.parse(require('fs').readFileSync(process.argv[1] + '/manifest.json')).$2" "$1"; }

# All that was there before, to be compared with what is there after.
everything() {
  (cd "$SETS" && find . -type f -exec sha256sum {} + | sort; cd "$SITE/db/dumps" &&
    find . -type f -exec sha256sum {} + | sort)
}

await_no_dump() {
  local end=$((SECONDS + 30))
  until [ "$(psql postgres <<<"select count(*) from pg_stat_activity where application_name = 'pg_dump'")" = 0 ]; do
    [ "$SECONDS" -lt "$end" ]
  done
}

# break_pg_dump COMMAND: what pg_dump does from now on; "$real" in it is the real one, and "$@" what it was asked. Its
# version stays what it is.
break_pg_dump() {
  if [ -z "${REAL:-}" ]; then
    REAL=$(docker exec "$(postgres)" sh -c 'readlink -f "$(command -v pg_dump)"')
    docker exec "$(postgres)" cp "$REAL" "$REAL.real"
  fi
  printf '#!/bin/bash\nreal=$0.real\nif [ "$1" = -V ]; then exec -a "$0" "$real" -V; fi\n%s\n' "$1" |
    docker exec -i "$(postgres)" sh -c 'cat >"$0.new" && chmod 755 "$0.new" && mv "$0.new" "$0"' "$REAL"
}

assert_nothing_left() {
  run -0 find "$SETS" -mindepth 1 -maxdepth 1 -name '*.partial'
  assert_output ''
  run -0 find "$SITE/db" -mindepth 1 ! -path '*/work/socket*' '(' -path '*/work/*' -o -name '.*' ')'
  assert_output ''
  assert [ ! -e "$SITE/.state/data.json" ]
  run -0 flock --nonblock "$SITE/.state/data.lock" true
}

@test "a set is complete, for its owner alone, and db/dumps/latest.dump is the same dump" {
  run --separate-stderr -0 backup
  assert_equal "$output" "$(newest)"
  assert_regex "${stderr}" '3 tables, 5,003 rows'
  run -0 find "$SETS" "$SITE/db/dumps" -type f -perm /077
  assert_output ''
  run -0 find "$SETS" -type d -perm /077
  assert_output ''
  assert_equal "$(field "$(newest)" 'database.tables["public.visitors"]')" 5000
  assert_equal "$(field "$(newest)" "database.tables['\"Odd schema\".\"a (table\"']")" 3
  assert_equal "$(field "$(newest)" 'database.tables["public.nothing"]')" 0
  assert_equal "$(field "$(newest)" 'database.extensions.postgis.length > 2')" true
  assert_equal "$(field "$(newest)" 'files["database.dump"].sha256')" \
    "$(sha256sum <"$(newest)/database.dump" | cut -d' ' -f1)"
  cmp "$(newest)/database.dump" "$SITE/db/dumps/latest.dump"
  (cd "$SITE/db/dumps" && sha256sum --quiet --check latest.dump.sha256)
  assert_equal "$(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).roles.map(({ name }) => name).join()' \
    "$(newest)/roles.json")" avril
  cmp "$(newest)/roles.json" "$SITE/db/dumps/latest-roles.json"
  assert_nothing_left
}

# in_minio COMMAND …: mc in minio's container, with the key that it has there; the bucket is m/avril
in_minio() {
  docker exec -i "$(docker ps --quiet --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=minio)" \
    sh -c 'MC_HOST_m="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000" exec mc --quiet "$@"' mc "$@" 3>&-
}

@test "the uploaded files are in the set, linked where they have not changed; without minio there is no set but with --no-files" {
  in_minio pipe m/avril/one.txt <<<one
  in_minio pipe m/avril/two.txt <<<two
  run --separate-stderr -0 backup
  local first=$output second
  assert_equal "$(field "$first" 'objects.count')" 2
  in_minio pipe m/avril/two.txt <<<changed
  run --separate-stderr -0 backup
  second=$output
  assert_regex "$stderr" '2 files, 1 of them new'
  local sum
  sum=$(sha256sum <<<one | cut -d' ' -f1)
  assert_equal "$(stat -c %i "$first/objects/${sum:0:2}/$sum")" "$(stat -c %i "$second/objects/${sum:0:2}/$sum")"
  compose stop minio 2>/dev/null
  run --separate-stderr -69 backup
  assert_regex "$stderr" 'minio is not running'
  assert_regex "$stderr" '--no-files'
  assert_equal "$(newest)" "$second"
  run --separate-stderr -0 backup --no-files
  assert_equal "$(field "$output" 'objects')" null
  compose up --detach --wait minio 2>&1
  run --separate-stderr -0 backup
  assert_regex "$stderr" '2 files, 0 of them new'
}

@test "a name is that of the set and of the dump in db/dumps" {
  run --separate-stderr -0 backup before-import
  assert_regex "$output" '/before-import-[0-9]{8}T[0-9]{6}Z$'
  cmp "$output/database.dump" "$SITE/db/dumps/before-import.dump"
  cmp "$output/database.dump" "$SITE/db/dumps/latest.dump"
  local bad
  for bad in ../x 'a b' latest "\$(id)" .x ''; do
    run --separate-stderr -64 backup "$bad"
    assert_equal "$output" ''
    assert_regex "$stderr" 'cannot be the name of a set'
  done
}

@test "--list shows the sets and those that do not count, --json for machines" {
  mkdir "$SETS/avril-20200101T000000Z" "$SETS/something else"
  run -0 backup --list
  assert_line --regexp '^before-import-.*less than a minute old'
  assert_line --regexp '^avril-20200101T000000Z  incomplete'
  refute_output --partial 'something else'
  run --separate-stderr -0 backup --list --json
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).length' "$output")" "$(find "$SETS" -name manifest.json | wc -l)"
  rmdir "$SETS/avril-20200101T000000Z" "$SETS/something else"
}

@test "a dump that lacks rows, or its end, never counts: 65, and all is as before" {
  local before
  before=$(everything)
  break_pg_dump '"$real" --exclude-table-data=visitors "$@"'
  run --separate-stderr -65 backup
  assert_regex "$stderr" 'public.visitors: no rows in the dump, 5000 in the database'
  assert_equal "$output" ''
  break_pg_dump '"$real" "$@" && for word; do case $word in --file=*) truncate -s 20000 "${word#*=}" ;; esac; done'
  run --separate-stderr -65 backup
  assert_regex "$stderr" 'ends too early'
  break_pg_dump 'exit 0'
  run --separate-stderr -65 backup
  assert_regex "$stderr" 'it is empty'
  assert_equal "$(everything)" "$before"
  assert_nothing_left
}

@test "an empty database is not backed up over the good dumps" {
  local before
  before=$(everything)
  psql postgres <<<'alter database avril rename to aside; create database avril'
  run --separate-stderr -65 backup
  psql postgres <<<'drop database avril; alter database aside rename to avril'
  assert_regex "$stderr" 'the database has no table'
  assert_equal "$(everything)" "$before"
}

@test "kill -9 in the middle: what is there stays, and the next run sweeps and makes a set" {
  local before
  before=$(everything)
  backup_held
  kill -9 "$BACKUP"
  await_exit "$BACKUP" 137
  release_table
  run -0 find "$SETS" -mindepth 1 -maxdepth 1 -name '*.partial'
  assert_output --regexp '\.partial$'
  assert_equal "$(everything | grep -v partial)" "$before"
  run -0 find "$SITE/db/work" -name '*.dump'
  assert_output --partial .dump
  run -0 backup
  assert_output --regexp 'removed avril-test-backup-.*\.partial, which an interrupted backup left'
  assert_nothing_left
}

@test "SIGTERM and Ctrl-C: ends at once with 143 or 130, nothing is left" {
  local before signal
  before=$(everything)
  for signal in TERM INT; do
    backup_held
    kill "-$signal" "$BACKUP"
    await_exit "$BACKUP" "$([ $signal = TERM ] && echo 143 || echo 130)"
    # It still waited for the table: a migration would go on waiting behind it.
    await_no_dump
    release_table
    assert_nothing_left
  done
  assert_equal "$(everything)" "$before"
}

@test "one at a time: the second says who, since when, in which step, and ends with 75; --wait queues" {
  backup_held
  run --separate-stderr -75 backup
  assert_regex "$stderr" "process $BACKUP\), backing up since .*, step dump"
  exec_script backup --wait >"$BATS_TEST_TMPDIR/second" 2>"$BATS_TEST_TMPDIR/second.err" &
  local second=$!
  await_line "$BATS_TEST_TMPDIR/second.err" '^→ waiting for'
  release_table
  await_exit "$BACKUP" 0
  await_exit "$second" 0
  assert [ "$(cat "$BATS_TEST_TMPDIR/out")" != "$(cat "$BATS_TEST_TMPDIR/second")" ]
}

@test "a restore that waited for a backup takes the dump that this has made" {
  run -0 backup
  backup_held
  exec_script backup_restore --wait \
    --into waited </dev/null >"$BATS_TEST_TMPDIR/restored" 2>"$BATS_TEST_TMPDIR/restored.err" &
  local restore=$!
  await_line "$BATS_TEST_TMPDIR/restored.err" '^→ waiting for'
  release_table
  await_exit "$BACKUP" 0
  await_exit "$restore" 0
  run -0 cat "$BATS_TEST_TMPDIR/restored.err"
  assert_output --partial "latest.dump (set $(basename "$(cat "$BATS_TEST_TMPDIR/out")"), made on"
  psql <<<'drop database waited'
}

@test "postgres that dies in the middle, and one that is stopped: said, and nothing counts" {
  local before
  before=$(everything)
  backup_held
  docker kill "$(postgres)" >/dev/null
  await_exit "$BACKUP" 1
  LOCK_PID=
  run -0 cat "$BATS_TEST_TMPDIR/err"
  assert_output --partial 'error:'
  assert_equal "$(everything)" "$before"
  compose stop postgres 2>/dev/null
  run --separate-stderr -69 backup
  assert_regex "$stderr" 'postgres is not running'
  compose up --detach --wait postgres 2>&1
  assert_nothing_left
}

@test "a folder that cannot be written to: 73; a disk with too little space: 74; what is there stays" {
  touch "$BATS_TEST_TMPDIR/file"
  set_env "BACKUP_DIR='$BATS_TEST_TMPDIR/file/backups'"
  run --separate-stderr -73 backup
  assert_regex "$stderr" 'cannot be written to'
  # A disk that is not mounted: its folder must not be made on another one.
  set_env "BACKUP_DIR='$BATS_TEST_TMPDIR/not mounted/backups'"
  run --separate-stderr -73 backup
  assert [ ! -e "$BATS_TEST_TMPDIR/not mounted" ]
  TMPFS=$BATS_TEST_TMPDIR/small
  mkdir "$TMPFS"
  mount -t tmpfs -o size=16k tmpfs "$TMPFS"
  set_env "BACKUP_DIR='$TMPFS'"
  run --separate-stderr -74 backup
  assert_regex "$stderr" 'is full'
  run -0 ls -A "$TMPFS"
  assert_output ''
  mkdir "$TMPFS/avril-20260101T000000Z"
  node -p 'JSON.stringify({ version: 1, name: "avril-20260101T000000Z", made: "2026-01-01T00:00:00Z", host: "here", who: "anna", database: { name: "avril", server: "18.6", tables: {} },
    files: { "database.dump": { bytes: 50000, sha256: "0".repeat(64) }, "globals.sql": { bytes: 0, sha256: "0".repeat(64) } }, objects: { count: 0, bytes: 0 } })' >"$TMPFS/avril-20260101T000000Z/manifest.json"
  : >"$TMPFS/avril-20260101T000000Z/globals.sql"
  truncate -s 50000 "$TMPFS/avril-20260101T000000Z/database.dump"
  run --separate-stderr -74 backup
  assert_regex "$stderr" '1\.5 times the last set'
  assert [ -e "$TMPFS/avril-20260101T000000Z/manifest.json" ]
}

@test "a full disk under .state, and under db/dumps: an end with words, a free lock, and a set that is made counts" {
  # Not umounted by teardown: BACKUP_DIR stays.
  mount -t tmpfs -o size=8k tmpfs "$SITE/.state"
  head -c 20000 /dev/zero >"$SITE/.state/full" 2>/dev/null || true
  run --separate-stderr timeout 60 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$SITE/scripts/backup.ts" 3>&-
  umount "$SITE/.state"
  assert_equal "$status" 74
  assert_regex "$stderr" 'data.json cannot be written.*the disk is full'
  mount -t tmpfs -o size=16k tmpfs "$SITE/db/dumps"
  run --separate-stderr backup
  umount "$SITE/db/dumps"
  assert_equal "$status" 74
  assert_regex "$stderr" \
    'the backup avril-test-backup-.* is made, and counts on this server, but publishing its dump did not end'
  run -0 backup --list
  assert_output --partial "$(basename "$(newest)")"
  assert_equal "$(tail -n 1 "$SITE/.state/backups.jsonl" | node -p 'JSON.parse(fs.readFileSync(0)).result')" made
  assert_nothing_left
}

# aged DAYS: a copy of the newest set, so many days older
aged() {
  local stamp name
  stamp=$(date -u -d "$1 days ago" +%Y%m%dT%H%M%SZ)
  name=avril-$stamp
  cp -a "$(newest)" "$BATS_TEST_TMPDIR/$name"
  node -e '
    const [file, name, made] = process.argv.slice(1)
    const fs = require("fs")
    fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file)), name, made }))' \
    "$BATS_TEST_TMPDIR/$name/manifest.json" "$name" "$(date -u -d "$1 days ago" +%Y-%m-%dT%H:%M:%SZ)"
  mv "$BATS_TEST_TMPDIR/$name" "$SETS/"
}

# bats test_tags=long
@test "on a mount without hard links and modes (exFAT, by FUSE) sets are made, published, pruned, tried out and restored, and setup.ts --check says what does not hold there" {
  TMPFS=$SETS
  mkdir -p "$SETS"
  truncate -s 64M "$BATS_TEST_TMPDIR/image"
  mkfs.exfat "$BATS_TEST_TMPDIR/image"
  local device
  device=$(losetup --find --show "$BATS_TEST_TMPDIR/image")
  # What serves it lives on, and would hold the output that bats reads. The device goes with the mount.
  local status=0
  mount.exfat-fuse -o nonempty "$device" "$SETS" >/dev/null 2>&1 3>&- || status=$?
  losetup --detach "$device"
  assert_equal "$status" 0
  in_minio pipe m/avril/one.txt <<<one
  in_minio pipe m/avril/copy.txt <<<one
  run -0 --separate-stderr backup
  local first=$output
  run -0 --separate-stderr backup --json
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).objects.count' "$output")" "$(field "$first" objects.count)"
  assert_regex "$stderr" 'files, 0 of them new'
  cmp "$(newest)/database.dump" "$SITE/db/dumps/latest.dump"
  # Older than BACKUP_DAYS, and there are three newer ones.
  aged 8
  run -0 backup
  assert_equal "$(find "$SETS" -mindepth 1 -maxdepth 1 -printf x)" xxx
  assert_nothing_left
  run -0 backup --drill
  in_minio rm m/avril/one.txt
  run -0 script backup_restore --yes --files "$(basename "$(newest)")" </dev/null
  assert_equal "$(in_minio cat m/avril/one.txt)" one
  local former
  former=$(psql postgres <<<"select datname from pg_database where datname like 'avril_before_%'")
  psql postgres <<<"drop database $former"
  run --separate-stderr script setup --check --json
  assert_equal "$(node -p '
    const { findings } = JSON.parse(process.argv[1])
    findings.filter(({ step, level }) => step === "mount" && level === "warning").map(({ text }) => /(?<=\) )[^:]*/.exec(text)).join()
      + findings.filter(({ step, text }) => step === "secrecy" && text.includes(process.argv[2])).length' "$output" "$SETS")" 'does not keep files for their owner,has no hard links0'
  run -0 find "$SETS" -name '.avril*'
  assert_output ''
}

@test "pg_dump has a file of its own in db/work, for its owner alone, and the set is on another disk; where the server sees another folder it is streamed" {
  TMPFS=$BATS_TEST_TMPDIR/disk
  mkdir -p "$TMPFS" "$SETS"
  mount -t tmpfs -o size=200m tmpfs "$TMPFS"
  set_env "BACKUP_DIR='$TMPFS'"
  backup_held
  run -0 docker top "$(postgres)" -o pid,uid,args
  assert_line --regexp '^[0-9]+ +999 .*pg_dump .*--file=/pg-work/'
  # Docker's own health check begins as root.
  refute_line --regexp '^[0-9]+ +0 +(psql|pg_[a-z]+|sh|bash|cat|rm|mkdir)( |$)'
  run -0 find "$SITE/db/work" ! -path '*/socket*' -printf '%U %m %y\n'
  assert_line --index 0 '999 700 d'
  assert_line --index 1 '999 644 f'
  release_table
  await_exit "$BACKUP" 0
  cmp "$TMPFS"/*/database.dump "$SITE/db/dumps/latest.dump"
  run -0 find "$TMPFS" -name database.dump -perm 0600
  assert_output --partial database.dump
  assert_nothing_left
  # The container has the folder below.
  mount -t tmpfs -o size=4g tmpfs "$SITE/db/work"
  run --separate-stderr backup
  local ended=$status
  run cmp "$(find "$TMPFS" -name database.dump | sort | tail -n 1)" "$SITE/db/dumps/latest.dump"
  umount "$SITE/db/work"
  assert_equal "$ended" 0
  assert_success
}

@test "a disk of db/work that fills up while it dumps: 74, nothing is left, and the next run makes a set" {
  local before
  before=$(cd "$SETS" && find . -type f -exec sha256sum {} + | sort)
  TMPFS=$SITE/db/work
  mount -t tmpfs -o size=64m tmpfs "$TMPFS"
  # So that it has this folder.
  compose restart --timeout 20 postgres 2>&1
  compose up --detach --wait postgres 2>&1
  backup_held
  assert [ -n "$(find "$TMPFS" -name '*.dump')" ]
  run -1 sh -c 'exec cat /dev/zero >"$0"' "$TMPFS/others"
  release_table
  await_exit "$BACKUP" 74
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'error: .*db/work is full: pg_dump'
  assert_nothing_left
  assert_equal "$(cd "$SETS" && find . -type f -exec sha256sum {} + | sort)" "$before"
  umount "$TMPFS"
  TMPFS=
  compose restart --timeout 20 postgres 2>&1
  compose up --detach --wait postgres 2>&1
  run -0 backup
  assert_nothing_left
}

@test "retention: old sets go after a good run only, the last three and foreign files never" {
  rm -rf "${SETS:?}"/*
  run -0 backup
  local days
  for days in 3 8 9 40; do aged "$days"; done
  mkdir "$SETS/avril-notes" "$SETS/avril-20200101T000000Z"
  touch "$SETS/avril-20190101T000000Z.txt" "$SETS/avril-20200101T000000Z/mine"
  run -0 backup --dry-run
  assert_line --regexp '^keep +avril-.* one of the last 3'
  assert_equal "$(grep -c '^remove' <<<"$output")" 2
  break_pg_dump 'exit 1'
  run -1 backup
  assert_equal "$(find "$SETS" -mindepth 1 -maxdepth 1 -type d | wc -l)" 7
  docker exec "$(postgres)" mv -f "$REAL.real" "$REAL"
  REAL=
  run -0 backup
  # The new one, that of this test's beginning, and that of three days ago.
  assert_equal "$(script backup --list --json 2>/dev/null |
    node -p 'JSON.parse(require("fs").readFileSync(0)).length')" 3
  assert [ -e "$SETS/avril-notes" ]
  assert [ -e "$SETS/avril-20190101T000000Z.txt" ]
  assert [ -e "$SETS/avril-20200101T000000Z/mine" ]
}

@test "a set that goes loses its name before its files: half of it never counts, and the next run removes the rest" {
  rm -rf "${SETS:?}"/*
  run --separate-stderr -0 backup
  local days old
  for days in 3 4 40; do aged "$days"; done
  old=$(find "$SETS" -mindepth 1 -maxdepth 1 | sort | head -n 1)
  # What cannot be removed stops it half-way, as a kill does.
  TMPFS=$old/objects/held
  mkdir -p "$TMPFS"
  mount -t tmpfs -o size=16k tmpfs "$TMPFS"
  run -1 backup
  if [ -e "$old.partial" ]; then TMPFS=$old.partial/objects/held; fi
  assert [ ! -e "$old" ]
  umount "$TMPFS"
  TMPFS=
  run -0 backup
  assert_output --partial "removed $(basename "$old").partial, which an interrupted backup left"
  assert [ ! -e "$old.partial" ]
  assert_equal "$(script backup --list 2>/dev/null | grep -c incomplete)" 0
}

@test "links that a container has put where a backup writes lead nowhere, and its files are its own" {
  local outside=$BATS_TEST_TMPDIR/authorized_keys name
  echo mine >"$outside"
  for name in .latest.dump.partial .latest-roles.json.partial .latest.dump.sha256.partial latest.dump latest-roles.json latest.dump.sha256; do
    ln -sf "$outside" "$SITE/db/dumps/$name"
  done
  docker exec "$(postgres)" ln -s /pg-dump /pg-work/x
  run --separate-stderr -0 backup
  assert_equal "$(cat "$outside")" mine
  cmp "$(newest)/database.dump" "$SITE/db/dumps/latest.dump"
  run -0 find "$SITE/db/dumps" -type l
  assert_output ''
  assert_nothing_left
}

@test "a drill brings back roles whose memberships the site's superuser granted, and tells in the server's words what does not come" {
  local bad=$SETS/avril-20260103T000000Z
  psql <<<'create role keeper; create role reader login; grant keeper to reader; create table kept (id int); alter table kept owner to keeper'
  run --separate-stderr -0 backup
  run --separate-stderr -0 backup --drill
  refute_regex "$stderr" 'ERROR'
  cp -a "$(newest)" "$bad"
  sed -i 's/"keeper"/"kaeper"/' "$bad/roles.json"
  run --separate-stderr -76 backup --drill avril-20260103T000000Z
  assert_regex "$stderr" 'not restored: TABLE public kept: it is there, but not all of it: role "keeper" does not exist'
  rm -r "$bad"
  psql <<<'drop table kept; drop role keeper; drop role reader'
  run script status
  assert_output --partial 'the last drill brought back all rows, but not TABLE public kept'
}

@test "--drill restores a set into a throw-away server, and finds one that does not hold what it should" {
  local bad=$SETS/avril-20260102T000000Z
  cp -a "$(newest)" "$bad"
  sed -i 's/"public.visitors": 5000/"public.visitors": 5001/' "$bad/manifest.json"
  run --separate-stderr -65 backup --drill avril-20260102T000000Z
  assert_regex "$stderr" 'public.visitors: 5000 rows restored, 5001 saved'
  rm -r "$bad"
  run script status
  assert_output --partial 'the last drill failed'
  run --separate-stderr -0 backup --drill --json
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).set' "$output")" "$(basename "$(newest)")"
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).seconds > 0' "$output")" true
  run -0 docker ps --all --quiet --filter "label=avril.drill=$STACK"
  assert_output ''
  run --separate-stderr -64 backup --drill nonsense
  assert_equal "$output" ''
}

@test "a webhook and a dead-man's switch hear of good and bad, and their addresses stand in no output" {
  hear
  set_env "NOTICE_URL=$HEARD_URL/hooks/a-secret" "PING_URL=$HEARD_URL/ping/a-secret"
  run -0 backup
  refute_output --partial a-secret
  run -0 cat "$HEARD"
  assert_line --regexp '^POST /hooks/a-secret \{"text":"✓ localhost: backup avril-test-backup-'
  assert_line 'GET /ping/a-secret '
  compose stop postgres 2>/dev/null
  run -69 backup
  compose up --detach --wait postgres 2>&1
  refute_output --partial a-secret
  run -0 cat "$HEARD"
  assert_line --regexp '^POST /hooks/a-secret \{"text":"✗ localhost: the backup failed: postgres is not running'
  assert_line 'GET /ping/a-secret/fail '
  hear_no_more
  run -0 backup
  assert_output --partial 'could not be reached'
  refute_output --partial a-secret
}

@test "a real cron makes a set from the entry that --install-cron wrote" {
  run -0 backup --install-cron --at 02:30
  run -0 backup --install-cron --at 02:30
  assert_output --partial '(as before)'
  run -0 cat "/etc/cron.d/$STACK-backup"
  assert_line --regexp '^30 2 \* \* 1-6 root '
  assert_equal "$(stat -c %a "/etc/cron.d/$STACK-backup")" 644
  local before
  before=$(newest)
  # Each minute instead of each day, and the drill not at all: the rest of the line is as installed.
  sed -i -e '/--drill/d' -e 's/^30 2 \* \* 1-6 root/* * * * * root/' "/etc/cron.d/$STACK-backup"
  cron_start
  timeout 90 inotifywait --quiet --quiet --event moved_to "$SETS"
  cron_stop
  assert [ "$(newest)" != "$before" ]
  run -0 backup --remove-cron
  assert [ ! -e "/etc/cron.d/$STACK-backup" ]
  run -0 backup --remove-cron
  # The run that cron began may still hold the lock.
  run -0 flock --timeout 60 "$SITE/.state/data.lock" true
  assert_nothing_left
}

@test "no password in any argument list, log, history or set's manifest" {
  set_env POSTGRES_PASSWORD=a-very-secret-word
  backup_held
  run -0 ps -eo args
  refute_output --partial a-very-secret-word
  release_table
  await_exit "$BACKUP" 0
  run -1 grep -rF a-very-secret-word "$SITE/.state" "$SETS" "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/err"
  set_env POSTGRES_PASSWORD=change-me
}

@test "the files of a set come back alone: the database and what came since stay, and a deploy may go on meanwhile" {
  in_minio pipe m/avril/gone.txt <<<gone
  in_minio pipe m/avril/changed.txt <<<before
  run --separate-stderr -0 backup with-files
  local set
  set=$(basename "$output")
  # Newer, and without files.
  run --separate-stderr -0 backup --no-files without
  in_minio rm m/avril/gone.txt
  in_minio pipe m/avril/changed.txt <<<after
  in_minio pipe m/avril/since.txt <<<since
  psql <<<'create table only_now ()'

  run --separate-stderr -0 script backup_restore --files-only --dry-run --json
  assert_equal "$(node -p \
    'const { set, missing, differing, bytes, extra } = JSON.parse(process.argv[1]); JSON.stringify({ set, missing, differing, bytes, extra })' "$output")" \
    "{\"set\":\"$set\",\"missing\":1,\"differing\":1,\"bytes\":12,\"extra\":1}"
  run -0 script backup_restore --files-only --dry-run with-files
  assert_output --partial 'missing     1: brought back'
  run -64 script backup_restore --files-only </dev/null
  assert_output --partial 'add --yes'
  assert_equal "$(in_minio cat m/avril/changed.txt)" after

  local words
  for words in '--into x' '--files' '--undo' '--no-owner' '--no-acl' '--from-database x' '--anonymise /dev/null'; do
    # shellcheck disable=SC2086 # several words
    run -64 script backup_restore --yes --files-only $words </dev/null
  done
  run -64 script backup_restore --yes --files-only without </dev/null
  assert_output --partial 'has no uploaded files with it'
  run -64 script backup_restore --yes --files-only no-such </dev/null
  run -64 script backup_restore --yes --files-only latest </dev/null
  assert_output --partial 'there is no set latest'

  # A deploy holds its lock; a backup would be in the way.
  exec 7>"$SITE/.state/deploy.lock"
  flock 7
  run --separate-stderr -0 script backup_restore --yes --files-only --json </dev/null
  exec 7>&-
  assert_equal "$(node -p \
    'const { result, set, uploaded } = JSON.parse(process.argv[1]); [result, set, uploaded].join()' "$output")" "files restored,$set,2"
  assert_equal "$(in_minio cat m/avril/gone.txt) $(in_minio cat m/avril/changed.txt) $(in_minio cat \
    m/avril/since.txt)" 'gone before since'
  assert_equal "$(psql <<<'select count(*) from only_now')" 0
  run -0 tail -n 1 "$SITE/.state/audit.jsonl"
  assert_output --partial "\"what\":\"restore of files\",\"set\":\"$set\""
  run -0 script backup_restore --yes --files-only "$SETS/$set" </dev/null
  assert_output --partial '0 of them brought back'
  exec 7>"$SITE/.state/data.lock"
  flock 7
  run -75 script backup_restore --yes --files-only </dev/null
  exec 7>&-

  psql <<<'drop table only_now'
  in_minio rm m/avril/gone.txt m/avril/changed.txt m/avril/since.txt
  rm -r "${SETS:?}"/with*
}

@test "a set brings back the database and its files; who did that is noted; the former database goes in its time" {
  in_minio pipe m/avril/three.txt <<<three
  run --separate-stderr -0 backup kept
  local set
  set=$(basename "$output")
  psql <<<'delete from visitors where id > 10'
  in_minio rm m/avril/three.txt
  run -64 script backup_restore --yes --files latest </dev/null
  assert_output --partial 'has no uploaded files with it'
  assert_output --partial "name that, $set"
  run -0 script backup_restore --dry-run latest
  assert_output --partial "from        $SITE/db/dumps/latest.dump (set $set, made on $(hostname) by "
  run -0 script backup_restore --yes --files "$set" </dev/null
  assert_output --partial '1 of them brought back'
  assert_equal "$(psql <<<'select count(*) from visitors')" 5000
  assert_equal "$(in_minio cat m/avril/three.txt)" three
  run -0 tail -n 1 "$SITE/.state/audit.jsonl"
  assert_output --regexp '"what":"restore","dump":".*/kept-.*/database.dump","database":"avril","former":"avril_before_'
  run -0 script backup_restore --yes --undo </dev/null
  assert_equal "$(psql <<<'select count(*) from visitors')" 10
  run -0 script backup_restore --yes --undo </dev/null
  # Eight days later, which is one more than FORMER_DAYS.
  local former
  former=$(psql postgres <<<"select datname from pg_database where datname like 'avril_before_%'")
  psql postgres <<<"alter database $former rename to avril_before_$(date -u -d '8 days ago' +%Y%m%dt%H%M%Sz)"
  run -0 backup
  assert_output --partial 'removed avril_before_'
  assert_equal "$(psql postgres <<<"select count(*) from pg_database where datname like 'avril_before_%'")" 0
}

# The rows and a checksum of each table.
checksums() {
  psql <<'SQL'
    select format('select %L, count(*), sum(hashtextextended(t::text, 0)) from only %I.%I t', relname, nspname, relname)
    from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'r' and nspname in ('public', 'large', 'Odd schema') order by 1 \gexec
SQL
}

drop_former() {
  psql postgres <<<"select format('drop database %I', datname) from pg_database where datname like 'avril_before_%' \gexec"
}

# bats test_tags=long
@test "fifty tables and 300 MB come back the same, with a checksum of each table" {
  psql <<'SQL'
    create schema large;
    select format('create table large.t%s as select n as id, md5((n * %s)::text) as word, repeat(md5(n::text), 5) as text, now() - n * interval ''1 minute'' as time from generate_series(1, 25000) n', t, t)
    from generate_series(1, 50) t \gexec
SQL
  assert_equal "$(psql <<<"select pg_database_size('avril') > 300e6")" t
  checksums >"$BATS_TEST_TMPDIR/before"
  assert [ "$(wc -l <"$BATS_TEST_TMPDIR/before")" -gt 50 ]
  run -0 backup
  psql <<'SQL'
    update large.t7 set word = 'changed' where id = 25000;
    delete from large.t8 where id = 1;
    drop table large.t9;
    create table large.later as select 1 as id;
SQL
  run -1 diff "$BATS_TEST_TMPDIR/before" <(checksums)
  run -0 script backup_restore --yes </dev/null
  run -0 diff "$BATS_TEST_TMPDIR/before" <(checksums)
  psql <<<'drop schema large cascade'
  drop_former
}

# bats test_tags=long
@test "a live database with a locale of its own keeps it; one that was dropped comes back; one that a prepared transaction holds is refused" {
  run -0 backup
  checksums >"$BATS_TEST_TMPDIR/before"
  psql postgres <<'SQL'
    drop database avril;
    create database avril template template0 locale_provider icu icu_locale 'fr-FR-x-icu' icu_rules '& V << w <<< W';
SQL
  run -0 script backup_restore --yes </dev/null
  assert_equal "$(psql <<<"select datlocprovider, datlocale, daticurules from pg_database where datname = 'avril'")" \
    'i|fr-FR-x-icu|& V << w <<< W'
  run -0 diff "$BATS_TEST_TMPDIR/before" <(checksums)
  drop_former

  psql postgres <<<'drop database avril'
  run -0 script backup_restore --yes </dev/null
  assert_output --partial 'there is no such database'
  run -0 diff "$BATS_TEST_TMPDIR/before" <(checksums)
  assert_equal "$(psql postgres <<<"select count(*) from pg_database where datname like 'avril_%'")" 0

  psql <<<'alter system set max_prepared_transactions = 1'
  compose restart postgres 2>&1
  compose up --detach --wait postgres 2>&1
  psql <<<"begin; delete from visitors; prepare transaction 'held'"
  run --separate-stderr -1 script backup_restore --yes </dev/null
  assert_regex "$stderr" 'prepared'
  psql <<<"rollback prepared 'held'; alter system reset max_prepared_transactions"
  compose restart postgres 2>&1
  compose up --detach --wait postgres 2>&1
  run -0 diff "$BATS_TEST_TMPDIR/before" <(checksums)
}

@test "status shows the last set and the last drill, and ends with 1 when the newest is older than 26 hours" {
  run -0 backup
  run -0 backup --drill
  run script status --json
  local set
  set=$(basename "$(newest)")
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).backups.last.name' "$output")" "$set"
  run script status
  assert_output --partial "✓ last backup  $set, verified, "
  assert_output --partial 'was restored in'
  refute_output --partial 'backup is'
  # The same set, made 27 hours ago.
  sed -i "s/\"made\": .*/\"made\": \"$(date -u -d '27 hours ago' +%Y-%m-%dT%H:%M:%SZ)\",/" "$(newest)/manifest.json"
  find "$SETS" -mindepth 1 -maxdepth 1 -type d ! -path "$(newest)" -exec rm -r {} +
  compose up --detach --wait --build 2>&1
  run -1 script status
  assert_output --partial "✗ last backup  $set, verified, 27 hours old, "
  assert_output --partial 'the newest backup is 27 hours old'
  run -0 backup
  run -0 script status
}
