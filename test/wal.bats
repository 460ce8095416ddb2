#!/usr/bin/env bats
# The archive: what is committed lies beside the database at once and is shipped each minute, through the end of any
# part of it; what is cut or missing is found; a moment comes back.

# bats sets these in `run --separate-stderr`; what stands between single quotes is for other shells and databases.
# shellcheck disable=SC2154,SC2016
load helpers/site

setup_file() {
  export SETS="$BATS_FILE_TMPDIR/the sets" KEY=$BATS_FILE_TMPDIR/key.txt OTHER=$BATS_FILE_TMPDIR/other.txt OFFSITE=http://127.0.0.1:18438
  site_make avril-test-wal 18437
  quiet_probes
  set_env "BACKUP_DIR='$SETS'"
  age-keygen --output "$KEY" 2>/dev/null
  age-keygen --output "$OTHER" 2>/dev/null
  optional WAL=on
  optional WAL_KEEP=64MB
  # Who runs as crond here does nothing: setup.ts starts none.
  cp "$(command -v sleep)" "$BATS_FILE_TMPDIR/crond"
  "$BATS_FILE_TMPDIR/crond" infinity 3>&- &
  export CROND=$!
  compose up --detach --wait --quiet-pull postgres minio wal 2>&1
  psql <<<'create table commits (id bigserial primary key, text text, xid xid8 not null default pg_current_xact_id())'
}

teardown_file() {
  kill "$CROND"
  docker rm --force --volumes "$STACK-offsite" >/dev/null
  rm -f "/etc/cron.d/$STACK-backup" "/etc/cron.d/$STACK-ship"
  compose down --volumes --remove-orphans --timeout 2 2>&1
}

teardown() {
  if [ -n "${LOOP:-}" ]; then kill -9 "$LOOP" 2>/dev/null || true; fi
  if [ -n "${TMPFS:-}" ]; then
    compose rm --stop --force wal >/dev/null 2>&1
    umount "$TMPFS"
    compose up --detach wal 2>&1
  fi
  docker update --restart unless-stopped "$STACK-postgres-1" >/dev/null
  docker start "$STACK-postgres-1" "$STACK-wal-1" >/dev/null
}

backup() { script backup "$@"; }
# In postgres's container, or in that of the service wal, whose client lives on when the server dies.
psql() { docker exec -i --user postgres "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U avril avril 3>&-; }
in_wal() { docker exec -i --user postgres "$STACK-wal-1" "$@" 3>&-; }
newest_chain() { find "$SETS/archive" -mindepth 1 -maxdepth 1 -name '*Z' | sort | tail -n 1; }
pieces() { find "$(newest_chain)/wal" -name '*.zst*' -printf '%f\n' | sort; }
bases() { in_wal bash /etc/avril/base.sh list | wc -l; }
state() { node -p "JSON.parse(require('fs').readFileSync('$SITE/.state/archive.json')).$1"; }
now_lsn() { psql <<<'select pg_current_wal_flush_lsn()'; }
# What was written until now is received.
await_received() {
  psql <<'END'
do $$ declare goal pg_lsn := pg_current_wal_flush_lsn(); begin
  while not exists (select from pg_stat_replication where application_name = 'pg_receivewal' and flush_lsn >= goal) loop perform pg_sleep(0.05), pg_stat_clear_snapshot(); end loop; end $$
END
}
# By the service's own probe, asked at once and not at Docker's next time.
await_receiving() { in_wal timeout 120 bash -c 'until bash /etc/avril/wal.sh health >/dev/null; do sleep 0.2; done'; }
await_answer() {
  docker exec --user postgres "$STACK-postgres-1" timeout 120 bash \
    -c 'until psql -h 127.0.0.1 -U avril -c "select 1" avril >/dev/null 2>&1; do sleep 0.1; done' 3>&-
}
until_health() {
  timeout 120 sh -c 'until [ "$(docker inspect --format "{{.State.Health.Status}}" "$0")" = "$1" ]; do sleep 0.5; done' "$STACK-wal-1" "$1"
}
# fill MB: so much WAL
fill() {
  psql <<<"insert into commits (text) select repeat(md5(random()::text), 32) from generate_series(1, $1 * 900)"
}

# Each piece begins where the one before ends, from the first segment of the chain on.
assert_no_gap() {
  pieces | node -e '
    const ranges = require("fs").readFileSync(0, "utf8").trim().split("\n").map(name => name.split(/[-.]/).slice(1, 3))
    ranges.reduce((end, [start, next]) => { if (end && end !== start) { console.log(`gap from ${end} to ${start}`); process.exit(1) } return next }, "")'
}

# moment TIME [KEY]: helpers/moment.ts
moment() { node "$SITE/test/helpers/moment.js" "$@" 3>&-; }

@test "the first pass makes a base and ships; --list names the moments; a minute without a commit costs no piece, and the time goes on" {
  run --separate-stderr -0 backup --ship
  assert_regex "$stderr" 'one is made'
  run -0 backup --list
  assert_output --regexp 'any moment from .* to [0-9]+ s ago'
  await_received
  run -0 backup --ship
  local before shipped
  before=$(pieces | wc -l)
  shipped=$(state shipped)
  run -0 backup --ship
  assert [ "$(pieces | wc -l)" -le $((before + 1)) ]
  assert [ "$(state shipped)" \> "$shipped" ]
  psql <<<"insert into commits (text) values ('one')"
  run --separate-stderr -0 backup --ship
  assert_regex "$stderr" '^✓ [1-9] pieces? of the WAL shipped'
  assert_no_gap
  run -0 find "$SETS" -perm /077
  assert_output ''
}

@test "the service has no network and no rights; who receives is postgres, and the server's socket is for nobody else" {
  run -0 docker inspect --format \
    '{{.HostConfig.NetworkMode}} {{.HostConfig.CapDrop}} {{.HostConfig.PidsLimit}} {{.HostConfig.Memory}}' \
    "$STACK-wal-1"
  assert_output 'none [ALL] 1024 536870912'
  run -0 docker top "$STACK-wal-1" -o pid,uid,args
  assert_line --regexp '^[0-9]+ +999 +pg_receivewal'
  run -0 in_wal sed -n 's/^Cap\(Eff\|Bnd\|Prm\):\t//p' /proc/1/status
  assert_output $'0000000000000000\n0000000000000000\n00000000000000c1'
  run -0 find "$SITE/db/work/socket" "$SITE/db/wal" -maxdepth 0 -printf '%U %m\n'
  assert_output $'999 700\n999 700'
}

@test "without WAL there is nothing to ship (78), and no service; a second process that ships ends with 75" {
  optional WAL=
  run --separate-stderr -78 backup --ship
  assert_regex "$stderr" 'WAL is not on'
  run script status --json
  refute_output --partial '"service":"wal"'
  optional WAL=on
  exec_script backup --ship --hour --every 1 2>"$BATS_TEST_TMPDIR/err" &
  LOOP=$!
  timeout 60 sh -c 'until ! flock --nonblock "$0" true; do sleep 0.2; done' "$SITE/.state/ship.lock"
  run -75 backup --ship
  kill "$LOOP"
  await_exit "$LOOP" 143
}

# committed LSN: the transactions whose commit, since then, is in what the service wal has
committed() {
  in_wal bash -c 'links=$(mktemp --directory); for file in /wal/segments/*; do ln -s "$file" "$links/$(basename "$file" .partial)"; done
    pg_waldump --path="$links" --start="$0" --rmgr=Transaction 2>/dev/null; rm -r "$links"' "$1" | sed -nE 's/.*tx: +([0-9]+),.*desc: COMMIT.*/\1/p' | sort
}

# kill_round: some clients commit all the time; postgres is killed; what they were told is compared with what the
# service wal has: at once, while there is no server, and when it lives again.
kill_round() {
  local start pid client clients=() acknowledged=$BATS_TEST_TMPDIR/acknowledged
  await_received
  start=$(now_lsn)
  for client in 1 2 3 4; do
    in_wal psql -XqAt -h /pg-work/socket -U avril \
      avril <<<'insert into commits (text) values ($$x$$) returning xid \watch 0.03' >"$acknowledged.$client" 2>/dev/null &
    clients+=($!)
  done
  sleep "$(shuf -i 1-3 -n 1).$(shuf -i 0-9 -n 1)"
  pid=$(docker inspect --format '{{.State.Pid}}' "$STACK-postgres-1")
  docker update --restart no "$STACK-postgres-1" >/dev/null
  kill -9 "$pid"
  wait "${clients[@]}" || true
  grep -hE '^[0-9]+$' "$acknowledged".* | sort >"$acknowledged"
  TRIED=$((${TRIED:-0} + $(wc -l <"$acknowledged")))
  LATE=$((${LATE:-0} + $(comm -23 "$acknowledged" <(committed "$start") | wc -l)))
  docker update --restart unless-stopped "$STACK-postgres-1" >/dev/null
  docker start "$STACK-postgres-1" >/dev/null
  await_answer
  await_received
  LOST=$((${LOST:-0} + $(comm -23 "$acknowledged" <(committed "$start") | wc -l)))
}

tell_kills() {
  echo "# $TRIED commits acknowledged before $1 kills, $LOST lost; $LATE were on the disk of the database alone for the moment in which it was killed" >&3
}

@test "no commit that was acknowledged is missing in the archive after postgres was killed" {
  for _ in 1 2; do kill_round; done
  tell_kills 2
  assert [ "$TRIED" -gt 100 ]
  assert_equal "$LOST" 0
  # A millisecond's worth: what is sent is sent as it is written.
  assert [ "$LATE" -le 8 ]
  run -0 backup --ship
  assert_no_gap
}

# bats test_tags=long
@test "20 kills of postgres: none of the commits that were acknowledged is missing" {
  for _ in {1..20}; do kill_round; done
  tell_kills 20
  assert_equal "$LOST" 0
  assert [ "$LATE" -le 80 ]
}

@test "kill -9 of pg_receivewal, of the container wal and of the process that ships: each goes on, and there is no gap" {
  exec_script backup --ship --hour --every 1 2>"$BATS_TEST_TMPDIR/err" &
  LOOP=$!
  local round
  for round in 1 2 3; do
    fill 3
    # The container may just have been killed itself.
    timeout 60 sh -c 'until docker exec --user postgres "$0" pkill -9 pg_receivewal 2>/dev/null; do sleep 0.1; done' \
      "$STACK-wal-1"
    fill 3
    kill -9 "$(docker inspect --format '{{.State.Pid}}' "$STACK-wal-1")"
    fill 3
    kill -9 "$LOOP"
    await_exit "$LOOP" 137
    exec_script backup --ship --hour --every 1 2>>"$BATS_TEST_TMPDIR/err" &
    LOOP=$!
    sleep "0.$round"
  done
  kill "$LOOP"
  await_exit "$LOOP" 143
  LOOP=
  # As one that is killed while it makes room for a segment.
  docker kill "$STACK-wal-1" >/dev/null
  truncate --size=1M "$SITE"/db/wal/segments/*.partial
  docker start "$STACK-wal-1" >/dev/null
  await_received
  run -0 backup --ship
  assert_no_gap
  run -0 find "$SETS/archive" -name '*.partial'
  assert_output ''
  run --separate-stderr -0 backup --no-files
  refute_regex "$stderr" warning
}

@test "kill -9 while a base is made, and while it is shipped: the next run makes one, and nothing of it is left" {
  local step
  fill 30
  for step in base archive; do
    : >"$BATS_TEST_TMPDIR/err"
    exec_script backup --no-files >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
    LOOP=$!
    await_line "$BATS_TEST_TMPDIR/err" "^→ $step"
    kill -9 "$LOOP"
    await_exit "$LOOP" 137
  done
  LOOP=
  run -0 backup --no-files
  run -0 find "$SITE/db/wal" "$SETS" -name '*.partial' ! -path '*/segments/*'
  assert_output ''
  assert_equal "$(find "$SETS/archive" -path '*/base/*.json' | wc -l)" "$(bases)"
  run -0 backup --ship
  run -0 backup --list
}

@test "an older site: setup.ts --archive sets it, starts postgres again for the socket and the service, makes a base, and has cron ship" {
  compose rm --stop --force wal 2>&1
  docker exec "$STACK-postgres-1" rm /pg-work/socket/.s.PGSQL.5432
  sed -i '/^WAL=/d' "$SITE/.env"
  run script setup --check --json
  assert_output --partial 'WAL is not set'
  run -0 script setup --archive
  assert_output --regexp 'postgres was away for [0-9.]+ s'
  assert_output --partial '✓ wal: the service wal receives'
  assert_output --partial 'the newest base backup is'
  run -0 grep -c -- '--ship --hour' "/etc/cron.d/$STACK-ship"
  run -0 backup --remove-cron
  assert [ ! -e "/etc/cron.d/$STACK-ship" ]
  assert [ ! -e "/etc/cron.d/$STACK-backup" ]
}

@test "db/wal is full: the site goes on, its health and the status say so, and it receives again when there is space" {
  compose rm --stop --force wal 2>&1
  TMPFS=$SITE/db/wal
  mount -t tmpfs -o size=400m tmpfs "$TMPFS"
  # It is asked more often, so that it is known sooner.
  cp "$SITE/docker-compose.yml" "$BATS_TEST_TMPDIR/kept.yml"
  sed -i 's/interval: 5s/interval: 1s/' "$SITE/docker-compose.yml"
  compose up --detach --wait wal 2>&1
  mv "$BATS_TEST_TMPDIR/kept.yml" "$SITE/docker-compose.yml"
  run -0 backup --ship
  run -1 sh -c 'exec cat /dev/zero >"$0"' "$TMPFS/others"
  fill 20
  until_health unhealthy
  run docker inspect --format '{{range .State.Health.Log}}{{.Output}}{{end}}' "$STACK-wal-1"
  assert_output --partial 'No space left on device'
  run -69 backup --ship
  run script status
  assert_output --partial 'the service wal does not receive'
  psql <<<"insert into commits (text) values ('still served')"
  rm "$TMPFS/others"
  until_health healthy
  await_received
  run -0 backup --ship
  assert_no_gap
}

@test "a service that was dead for too long loses its slot: it is said, and the next pass makes another base, from which moments come back" {
  local before chain
  run -0 backup --ship
  before=$(bases)
  docker stop "$STACK-wal-1" >/dev/null
  for _ in 1 2 3 4; do
    fill 40
    psql <<<'select pg_switch_wal(); checkpoint' >/dev/null
  done
  assert_equal "$(psql <<<"select wal_status from pg_replication_slots where slot_name = 'avril_wal'")" lost
  run -69 backup --ship
  run -1 backup --list
  assert_output --partial 'the service wal is not running'
  chain=$(newest_chain)
  docker start "$STACK-wal-1" >/dev/null
  await_receiving
  run --separate-stderr -0 backup --ship
  assert_regex "$stderr" 'one is made'
  assert [ "$(newest_chain)" != "$chain" ]
  assert [ "$(bases)" -gt "$before" ]
  run -0 backup --list
  assert_output --regexp 'any moment from .* to .*, and from .* to [0-9]+ s ago'
}

@test "a piece that is cut, and one that is missing, are named the same night; what is still beside the database is shipped again, what is not is not, and nothing is removed" {
  fill 2
  run -0 backup --ship
  fill 2
  run -0 backup --ship
  local cut missing
  missing=$(pieces | tail -n 2 | head -n 1)
  cut=$(pieces | tail -n 1)
  truncate --size=-1 "$(newest_chain)/wal/$cut"
  rm "$(newest_chain)/wal/$missing"
  run --separate-stderr -0 backup --no-files
  assert_regex "$stderr" \
    "warning: the piece $cut is cut: it has [0-9]+ bytes instead of [0-9]+; the chain .* has a gap: after .* nothing can be brought back"
  assert_regex "$stderr" "warning: the piece $missing is missing"
  assert_regex "$stderr" 'is shipped again'
  assert_no_gap
  run --separate-stderr -0 backup --no-files
  refute_regex "$stderr" warning
  # Of an older chain, whose WAL is not beside the database any more.
  local chain=$SETS/archive/20261101T030000Z segment
  segment=$(in_wal bash /etc/avril/base.sh segments | sort | head -n 1 | cut -d ' ' -f 1)
  chain=$(find "$SETS/archive" -mindepth 1 -maxdepth 1 -name '*Z' | sort | head -n 1)
  missing=$(find "$chain/wal" -name '*.zst' -printf '%f\n' | sort | sed -n 2p)
  in_wal rm -f "/wal/segments/$segment"
  in_wal find /wal/segments -name "${missing:0:8}*" -size 16M -not -name '*.partial' -delete
  rm "$chain/wal/$missing"
  run --separate-stderr -65 backup --no-files
  assert_regex "$stderr" "error: the archive is not whole: the piece $missing is missing"
  assert_regex "$stderr" 'nothing was removed'
  run -1 backup --list
  assert_output --partial "the piece $missing is missing"
  rm -r "$chain"
  run -0 backup --ship
  run --separate-stderr -0 backup --no-files
  run -0 backup --ship
  run -0 backup --list
}

@test "the drill recovers a moment whose rows were counted, and reads every table; one that does not bring them back is told" {
  # Of the other one a part alone may have been counted by now; a drill takes any that was noted.
  rm -f "$SITE/.state/counts.json"
  psql <<<'create table small as select generate_series(1, 500) as id; analyze small'
  run -0 backup --no-files
  run -0 backup --ship
  run --separate-stderr -0 backup --drill
  assert_regex "$stderr" \
    'the database of .* was recovered in [0-9.]+ s: public.small has its .* rows, and no table or index is damaged'
  sed -i 's/"rows":[0-9]*/"rows":1/g' "$SITE/.state/counts.json"
  run --separate-stderr -65 backup --drill
  assert_regex "$stderr" 'public.small had 1 row, and what was recovered has'
  run script status
  assert_output --partial 'the last drill of a moment failed'
  # A moment that is not in what can be read.
  sed -i 's/"point":"[^"]*"/"point":"gone"/g' "$SITE/.state/counts.json"
  run --separate-stderr -65 backup --drill
  assert_regex "$stderr" 'the WAL beside the database cannot be read up to'
  rm "$SITE/.state/counts.json" "$SITE/.state/moment_drills.jsonl"
}

# Of the disks of the database, and of the service wal: as they were when SNAPSHOT was made.
data_folder() { docker volume inspect --format '{{.Mountpoint}}' "${STACK}_postgres"; }
stop_both() { docker stop "$STACK-wal-1" "$STACK-postgres-1" >/dev/null; }
start_both() {
  docker start "$STACK-postgres-1" "$STACK-wal-1" >/dev/null
  await_answer
}
take_snapshot() {
  SNAPSHOT=$BATS_TEST_TMPDIR/snapshot
  stop_both
  mkdir "$SNAPSHOT"
  cp -a "$(data_folder)" "$SNAPSHOT/data"
  cp -a "$SITE/db/wal" "$SNAPSHOT/wal"
  start_both
}
put_back() {
  stop_both
  rm -rf "${1:?}"
  cp -a "$SNAPSHOT/$2" "$1"
}

# assert_anew CHAIN TIME: the archive has begun anew after that chain, which has the row of that time still
assert_anew() {
  assert_regex "$stderr" 'the database was put back to an earlier state'
  assert_regex "$stderr" 'one is made'
  assert [ "$(newest_chain)" != "$1" ]
  assert_no_gap
  run -0 backup --list
  assert_output --regexp 'any moment from .* to .*, and from .* to [0-9]+ s ago'
  run --separate-stderr -0 moment "$2"
  assert_output 1
  run --separate-stderr -0 backup --no-files
  refute_regex "$stderr" warning
}

# old_history: what is written after the snapshot, up to MOMENT, and shipped
old_history() {
  psql <<<"insert into commits (text) values ('of Dupont')"
  await_received
  sleep 0.1
  MOMENT=$(date --utc +%FT%T.%3NZ)
  psql <<<"delete from commits where text like '%Dupont'"
  await_received
  run -0 backup --ship
}

@test "WAL=off: the nightly run has the server let go of what it kept, and not while somebody receives; WAL=on goes on without a gap" {
  run -0 backup --ship
  slot() { psql <<<"select count(*) from pg_replication_slots where slot_name = 'avril_wal'"; }
  optional WAL=off
  run -0 backup --no-files
  assert_equal "$(slot)" 1
  run script setup --check
  assert_output --partial 'the service wal still receives'
  compose up --detach --wait wal 2>&1
  run script setup --check
  assert_output --partial 'the server still keeps up to WAL_KEEP'
  run --separate-stderr -0 backup --no-files
  assert_regex "$stderr" 'the server keeps nothing for the service wal from now on'
  assert_equal "$(slot)" 0
  optional WAL=on
  compose up --detach --wait wal 2>&1
  await_received
  run -0 backup --ship
  assert_no_gap
  run -0 backup --list
}

@test "the database's disk is put back to a snapshot: the service wal notices, also within one segment, and the archive begins anew" {
  local chain
  run -0 backup --ship
  chain=$(newest_chain)
  psql <<<'select pg_switch_wal()' >/dev/null
  take_snapshot
  old_history
  put_back "$(data_folder)" data
  start_both
  # As far as before, in the same segment, and other things.
  psql <<<"insert into commits (text) select 'x' from generate_series(1, 2000)"
  in_wal timeout 60 sh -c 'until grep -qs put.back /wal/former-*/why; do sleep 0.1; done'
  await_receiving
  run --separate-stderr -0 backup --ship
  assert_anew "$chain" "$MOMENT"
}

@test "all of the server's disk is put back, and BACKUP_DIR is not: the next pass notices by what was shipped last" {
  local chain round
  rm -rf "$SITE"/db/wal/former-*
  # Found when the bases are listed, and gone when it is read: the service puts all of them aside just then.
  in_wal sh -c 'mkdir /wal/base/20000101T000000Z; ln -s gone /wal/base/20000101T000000Z/base.json'
  for round in behind beyond; do
    rm -rf "$BATS_TEST_TMPDIR/snapshot"
    run -0 backup --ship
    chain=$(newest_chain)
    take_snapshot
    old_history
    put_back "$(data_folder)" data
    put_back "$SITE/db/wal" wal
    start_both
    await_receiving
    # Further than what was shipped: the place alone does not tell it any more.
    if [ "$round" = beyond ]; then fill 2; fi
    await_received
    run --separate-stderr -0 backup --ship
    assert_anew "$chain" "$MOMENT"
  done
}

@test "encrypted, off the site: no clear byte; a bucket that is away keeps nothing from BACKUP_DIR and is copied when it is back; a moment of a lost server comes back with the key alone" {
  optional "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY")"
  optional "OFFSITE_ENDPOINT=$OFFSITE"
  optional OFFSITE_BUCKET=away
  optional OFFSITE_ACCESS_KEY_ID=offsite
  optional OFFSITE_SECRET_ACCESS_KEY=offsite-secret
  docker run --detach --name "$STACK-offsite" --publish "${OFFSITE#http://}:9000" --env MINIO_ROOT_USER=offsite \
    --env MINIO_ROOT_PASSWORD=offsite-secret \
    "$(docker inspect --format '{{.Config.Image}}' "$STACK-minio-1")" >/dev/null
  timeout 60 sh -c 'until curl -fs -m 2 -o /dev/null "$0/minio/health/live"; do :; done' "$OFFSITE"
  docker exec --env MC_HOST_o=http://offsite:offsite-secret@127.0.0.1:9000 "$STACK-offsite" mc --quiet mb \
    o/away >/dev/null
  # Whoever gets the key must be able to read all of the chain.
  run --separate-stderr -0 backup --no-files
  assert_regex "$stderr" 'base: all of the data'
  psql <<<"insert into commits (text) values ('a secret of Dupont')"
  await_received
  run -0 backup --ship
  local chain moment file
  chain=$(newest_chain)
  while IFS= read -r file; do
    assert_equal "$(head -c 21 "$file")" age-encryption.org/v1
  done < <(find "$chain" -type f ! -name '*.json*')
  moment=$(date --utc +%FT%T.%3NZ)
  sleep 0.1
  psql <<<"delete from commits where text = 'a secret of Dupont'"
  docker stop "$STACK-offsite" >/dev/null
  await_received
  run --separate-stderr -69 backup --ship
  assert_no_gap
  run -0 grep -c '"at"' "$chain/wal/index.jsonl"
  assert_equal "$(state error)" ''
  assert_regex "$(state offsite.error)" 'does not answer'
  docker start "$STACK-offsite" >/dev/null
  timeout 60 sh -c 'until curl -fs -m 2 -o /dev/null "$0/minio/health/live"; do :; done' "$OFFSITE"
  run -0 backup --ship
  assert_equal "$(state offsite.error)" ''
  # The server is lost, its disk of the sets too.
  mv "$SETS" "$SETS.lost"
  run --separate-stderr -0 backup --fetch --archive
  assert_regex "$stderr" "the chain $(basename "$chain") is here, whole"
  run --separate-stderr -64 moment "$moment"
  assert_regex "$stderr" 'is encrypted'
  run --separate-stderr -65 moment "$moment" "$OTHER"
  assert_regex "$stderr" 'does not open the chain'
  run --separate-stderr -0 moment "$moment" "$KEY"
  assert_output 1
  run --separate-stderr -64 moment 2026-01-01T00:00:00Z "$KEY"
  assert_regex "$stderr" 'is before the first moment'
  run -0 find "$SITE/db" -maxdepth 1 -name '.staged-*'
  assert_output ''
}

@test "another server, on an empty volume: what the former one wrote is put aside, and the archive begins anew" {
  local chain
  chain=$(newest_chain)
  compose rm --stop --force postgres 2>&1
  docker volume rm "${STACK}_postgres"
  compose up --detach --wait postgres 2>&1
  # It was healthy before, too.
  in_wal timeout 120 sh -c 'until ls /wal/former-*/segments 2>/dev/null | grep -q .; do sleep 0.1; done'
  await_receiving
  run --separate-stderr -0 backup --ship
  assert_regex "$stderr" 'one is made'
  assert [ "$(newest_chain)" != "$chain" ]
  assert_no_gap
  run -0 backup --list
  assert_output --regexp 'any moment from .* to [0-9]+ s ago'
}
