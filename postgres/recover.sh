#!/bin/bash
# recover.sh ARCHIVE time|lsn|point|end TARGET BASE …: run by bash in a throw-away container, as postgres. Recovers the
# cluster to a moment from its bases (the full one first) and the WAL in ARCHIVE, which it only reads, and leaves a
# server of it running that nobody reaches but programs in this container. Its last line tells where the recovery
# stopped. With MODE=become it does so in the volume of the site's own server, where settle.sh puts the data in their
# place.
# shellcheck shell=bash
set -euo pipefail
umask 077
archive=$1 kind=$2 target=$3
shift 3

fail() { printf 'error: %s\n' "$2" >&2; exit "$1"; }

# broken WHAT WHY: what fails on a disk that is full says nothing of what it reads.
broken() {
  [ "$(df --output=avail --block-size=1M "$place" | tail -n 1)" -ge 16 ] ||
    fail 74 "$1: the disk of the containers is full"
  fail 65 "$1: $2"
}

# What is to become the data of the site's own server lies where that keeps what is not complete (start.sh), in its
# volume, and nobody else makes a first start there meanwhile: the server that is left running holds the lock.
if [ "${MODE:-look}" = become ]; then
  place=$PGDATA.unfinished
  [ ! -s "$PGDATA/PG_VERSION" ] || fail 65 "there are data in $PGDATA"
  mkdir -p "${place%/*}"
  exec {lock}<"${place%/*}"
  flock --nonblock "$lock" || fail 75 'another container is making the first start with the same volume'
  rm -rf "$place"
else
  place=/var/lib/postgresql/moment
fi
data=$place/data
log=$place/log
mkdir --mode=700 "$place"

# What an unpacked base takes, by its manifest; combining writes what has changed once more. Beside it lies the WAL that
# is replayed, what came behind the last base, and what that adds: the site's own server may be on the same disk, and
# must not be the one to find it full.
check_room() {
  local wanted free wal
  wal=$(find "$archive/segments" -type f -newer "${*: -1}/backup_manifest" -printf '%s\n' |
    awk '{ sum += $1 } END { printf "%.0f", sum < 2e9 ? sum : 2e9 }')
  wanted=$(cat "${@/%//backup_manifest}" | grep -o '"Size": [0-9]*' |
    awk '{ sum += $2 } END { printf "%.0f", sum * 1.3 }')
  free=$(df --output=avail --block-size=1 "$place" | tail -n 1)
  wanted=$((wanted + wal))
  [ "$free" -ge "$wanted" ] ||
    fail 74 "the disk of the containers has $((free / 1000000)) MB left, and the recovery takes about $((wanted / 1000000)) MB"
}

unpack() {
  local base=$1
  printf 'unpacking the base %s\n' "$base"
  mkdir "$place/$base"
  # On a full disk it has something to say of each file.
  tar --extract --zstd --file="$archive/base/$base/base.tar.zst" --directory="$place/$base" 2>&1 | sed -n 1,3p >&2 ||
    broken "the base $base cannot be unpacked" 'it is damaged'
  cp "$archive/base/$base/backup_manifest" "$place/$base/"
  pg_verifybackup --quiet --no-parse-wal "$place/$base" ||
    fail 65 "the base $base is damaged: it is not what its manifest says"
}

combine() {
  local link=()
  if [ $# = 1 ]; then
    mv "$place/$1" "$data"
    return
  fi
  printf 'combining %s bases\n' $#
  # PostgreSQL 18 has it.
  if pg_combinebackup --help | grep -q -- --link; then link=(--link); fi
  pg_combinebackup --no-sync "${link[@]}" --output="$data" "${@/#/$place/}" ||
    broken 'the bases cannot be combined' 'they do not fit together'
  rm -rf "${@/#/$place/}"
}

# as_before NAME: what the cluster was run with, which its WAL may ask for
as_before() { pg_controldata --pgdata="$data" | sed -n "s/^$1 setting: *//p"; }

# Nothing that the cluster was set to (an archive, a certificate, a library, who may connect) holds here. How many
# prepared transactions it may have can have been raised since the base, and the WAL asks for as many as there were.
configure() {
  cp "$data/postgresql.auto.conf" "$place/auto.conf"
  : >"$data/postgresql.auto.conf"
  rm -f "$data/standby.signal"
  : >"$place/ident.conf"
  echo 'local all all trust' >"$place/hba.conf"
  cat >"$place/moment.conf" <<END
listen_addresses = ''
hba_file = '$place/hba.conf'
ident_file = '$place/ident.conf'
max_connections = $(as_before max_connections)
max_worker_processes = $(as_before max_worker_processes)
max_prepared_transactions = 1000
max_locks_per_transaction = $(as_before max_locks_per_xact)
max_wal_senders = 0
max_logical_replication_workers = 0
wal_level = minimal
fsync = off
full_page_writes = off
autovacuum = off
hot_standby = off
max_wal_size = 1GB
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
restore_command = 'cp "$archive/segments/%f" "%p" 2>/dev/null || cp "$archive/segments/%f.partial" "%p" 2>/dev/null || cp "$archive/segments/%f.cut" "%p" 2>/dev/null'
recovery_target_action = promote
recovery_target_inclusive = off
END
}

# serve [setting]: recovers, with the target if there is one; its status is that of the server if that ends
serve() {
  touch "$data/recovery.signal"
  cp "$place/moment.conf" "$place/used.conf"
  [ -z "${1:-}" ] || printf '%s\n' "$1" >>"$place/used.conf"
  setsid postgres -D "$data" -c config_file="$place/used.conf" >"$log" 2>&1 </dev/null &
  local server=$! next=$((SECONDS + 10))
  until [ "$(psql -XqAtw -U "$POSTGRES_USER" -d template1 -c 'select pg_is_in_recovery()' 2>/dev/null)" = f ]; do
    kill -0 "$server" 2>/dev/null || { wait "$server"; return; }
    if grep -qF "FATAL:  role \"$POSTGRES_USER\" does not exist" "$log"; then
      fail 65 "there was no role $POSTGRES_USER then: POSTGRES_USER in .env was another one"
    fi
    if [ "$SECONDS" -ge "$next" ]; then
      printf 'replaying the WAL: %s segments so far\n' "$(grep -c 'restored log file' "$log" || true)"
      next=$((SECONDS + 10))
    fi
    sleep 0.1
  done
}

# The time of the first commit at or behind a place of the WAL, which the server tells only where it stopped for a time.
first_commit() {
  local links file
  links=$(mktemp --directory)
  for file in "$archive"/segments/*; do ln -sf "$file" "$links/$(basename "${file%.cut}" .partial)"; done
  # It ends with an error where the WAL ends.
  { pg_waldump --path="$links" --timeline="$((16#$timeline))" --start="$1" --rmgr=Transaction 2>/dev/null || true; } |
    sed -nE 's/.*tx: +([0-9]+),.* desc: COMMIT ([0-9-]+ [0-9:.]+) UTC.*/\1 \2+00/; T; p; q'
}

command -v zstd >/dev/null || fail 69 "the image of postgres has no zstd, by which the bases are compressed"
cd "$archive/base"
check_room "$@"
for base in "$@"; do unpack "$base"; done
combine "$@"
timeline=$(pg_controldata --pgdata="$data" | sed -n "s/^Latest checkpoint's TimeLineID: *//p" | xargs printf '%08X')
configure
printf 'replaying the WAL\n'
case $kind in
  time) goal="recovery_target_time = '$target'" ;;
  lsn) goal="recovery_target_lsn = '$target'" ;;
  point) goal="recovery_target_name = '$target'" ;;
  end) goal= ;;
esac
reached=true
if ! serve "$goal"; then
  grep -q 'recovery ended before configured recovery target was reached' "$log" || {
    tail -n 8 "$log" >&2
    broken 'the recovery failed' 'the lines above are of PostgreSQL'
  }
  # The WAL ends before the target: all of it is in.
  reached=false
  serve || { tail -n 8 "$log" >&2; broken 'the recovery failed' 'the lines above are of PostgreSQL'; }
fi
kept=$(sed -n 's/.*last completed transaction was at log time //p' "$log" | tail -n 1)
dropped=$(sed -nE 's/.*recovery stopping before commit of transaction ([0-9]+), time (.*)/\1 \2/p' "$log" | tail -n 1)
if [ "$kind" = lsn ] && [ "$reached" = true ]; then dropped=$(first_commit "$target"); fi
replayed=$({ grep -oE 'restored log file "[0-9A-F]{24}"' "$log" || true; } | sort -u | wc -l)
segment=$(pg_controldata --pgdata="$data" | sed -n 's/^Bytes per WAL segment: *//p')
last=$(sed -nE 's,.*redo done at ([0-9A-F]+/[0-9A-F]+) .*,\1,p' "$log" | tail -n 1)
printf 'result {"reached":%s,"kept":"%s","dropped":"%s","transaction":"%s","wal":%s,"last":"%s"}\n' "$reached" "$kept" \
  "${dropped#* }" "${dropped%% *}" $((replayed * segment)) "$last"
