#!/bin/bash
# The service wal: receives the WAL of the server as it is written, into /wal/segments, and goes on after whatever ends
# it. wal.sh health: whether it does. The server is reached by its socket alone.
set -euo pipefail
child=
trap 'if [ -n "$child" ]; then kill -INT "$child" && wait "$child"; fi; exit 143' TERM INT

if [ "$(id -u)" = 0 ]; then
  chown --no-dereference postgres: /wal
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH" "$0" "$@"
fi
umask 077
export LC_ALL=C.UTF-8 LANGUAGE=C PGUSER=$POSTGRES_USER PGCONNECT_TIMEOUT=5 PGOPTIONS='-c role=none -c search_path=pg_catalog -c statement_timeout=0'
segments=/wal/segments
slot=avril_wal

say() { printf '%s\n' "$*"; }
# ask [words of psql]
ask() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --set="slot=$slot" --set="keep=$WAL_KEEP" \
    "$@" --dbname=postgres
}

# What is wrong, in words; nothing when nothing is.
trouble() {
  ask <<'SQL'
select case
  when s.wal_status is null then 'the server keeps nothing for it (no slot)'
  when s.wal_status = 'lost' then 'it fell too far behind: what it was to receive is gone'
  when not s.active then 'it is not connected'
  when r.state <> 'streaming' then 'it is catching up'
  when r.flush_lag > interval '1 minute' then 'it is ' || date_trunc('second', r.flush_lag) || ' behind'
  else '' end
from (select) as one left join pg_replication_slots s on s.slot_name = :'slot' left join pg_stat_replication r on r.pid = s.active_pid
SQL
}

if [ "${1:-}" = health ]; then
  [ "$WAL" = on ] || exit 0
  said=$(trouble 2>&1) || { say "${said:-the server does not answer}"; exit 1; }
  [ -z "$said" ] || { say "$said; $(tail --lines=3 /tmp/said 2>/dev/null | paste --serial --delimiters=' ')"; exit 1; }
  say 'it receives'
  exit 0
fi

# WAL that does not go on from what was received before. That may be all that is left of what was, so it is put aside
# for a week, and not removed.
put_aside() {
  local aside folder
  aside=/wal/former-$(date --utc +%Y%m%dt%H%M%Sz)
  mkdir "$aside"
  printf '%s\n' "$1" >"$aside/why"
  for folder in "$segments" /wal/base; do [ ! -d "$folder" ] || mv "$folder" "$aside"; done
  mkdir -p "$segments" /wal/base
  say "$1: what was received before is in ${aside#/wal/} for a week, and a new base is needed"
}

# Another server than before: a first start on an empty volume, a new major version. Or another timeline of it: the
# whole server was brought back to a moment, or that was undone. A note of a former version of this tells no timeline.
meet_server() {
  local here known
  here=$(ask <<<"select system_identifier || ' ' || timeline_id from pg_control_system(), pg_control_checkpoint()")
  [[ $here =~ ^[0-9]+\ [0-9]+$ ]] || return 1
  known=$(cat /wal/server 2>/dev/null) || known=$here
  if [ "${known% *}" != "${here% *}" ]; then
    put_aside 'another server is here'
  elif [ "$known" != "$here" ] && [[ $known == *\ * ]]; then
    put_aside 'the server has begun another timeline'
  fi
  mkdir -p "$segments" /wal/base
  printf '%s\n' "$here" >/wal/server
}

# How many bytes of a segment are used: what is not written yet is zeros.
used() {
  perl -e 'open F, "<:raw", $ARGV[0] or exit 1; $at = -s F; while ($at > 0) { $n = $at < 65536 ? $at : 65536; $at -= $n; seek F, $at, 0; read F, $text, $n;
    $text = unpack "A*", $text; if (length $text) { print $at + length $text; exit } } print 0' "$1"
}

# A server whose disk was put back to an earlier state (a snapshot) has the same name and the same timeline, and writes
# something else to places that are received already. What is here last must be there, byte by byte.
meet_history() {
  local file bytes=0 digest said
  # Somebody who knows more has asked for it (base.sh anew).
  if [ -s /wal/anew ]; then
    put_aside "$(head --bytes=300 /wal/anew)"
    rm /wal/anew
  fi
  while IFS= read -r file; do
    bytes=$(used "$segments/$file") || return 1
    [ "$bytes" = 0 ] || break
  done < <(find "$segments" -regextype posix-extended -regex '.*/[0-9A-F]{24}(\.partial)?' -printf '%f\n' |
    sort --reverse)
  [ "$bytes" != 0 ] || return 0
  digest=$(head --bytes="$bytes" "$segments/$file" | sha256sum | cut --delimiter=' ' --fields=1)
  said=$(ask --set="segment=${file%.partial}" --set="bytes=$bytes" --set="digest=$digest" <<'SQL'
select case
  when left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) <> left(:'segment', 8) then 'same'
  when pg_current_wal_flush_lsn() < '0/0'::pg_lsn + segment_number * pg_size_bytes(current_setting('wal_segment_size')) + :bytes then 'other'
  when sha256(pg_read_binary_file('pg_wal/' || :'segment', 0, :bytes, true)) <> decode(:'digest', 'hex') then 'other'
  else 'same' end
from pg_split_walfile_name(:'segment')
SQL
  ) || return 1
  if [ "$said" = other ]; then put_aside 'the database was put back to an earlier state'; fi
}

# In the background, so that a signal ends this process at once.
rest() { sleep "$1" & wait $!; }

# Only what differs is changed: each reload is a line in the server's log.
settings() {
  ask <<'SQL'
with differing as (
  select w.name, w.value
  from (values ('summarize_wal', 'on', 'on'), ('max_slot_wal_keep_size', :'keep', (pg_size_bytes(:'keep') / 1048576)::text)) as w(name, value, stored)
  join pg_settings s on s.name = w.name and s.setting <> w.stored)
select format('alter system set %I = %L', name, value) from differing union all select 'do $$ begin perform pg_reload_conf(); end $$' where exists (select from differing)
\gexec
SQL
}

# A slot that is lost stays so for good: another one takes its place.
make_slot() {
  ask <<'SQL'
select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = :'slot' and wal_status = 'lost' \g /dev/null
select pg_create_physical_replication_slot(:'slot', true) where not exists (select from pg_replication_slots where slot_name = :'slot') \g /dev/null
SQL
}

# It would ask for what comes after the newest segment, for ever. An empty segment where the server's begin has it go on
# there; the gap shows in the names.
skip_gap() {
  local next file
  next=$(ask <<<"select pg_walfile_name(restart_lsn) from pg_replication_slots where slot_name = :'slot'")
  [[ $next =~ ^[0-9A-F]{24}$ ]] || return 0
  say "what it was to receive is not on the server any more: it goes on with $next, and a new base is needed"
  # What the last one has was received, and stays; by its name it is not whole, though the next one may be the one
  # behind.
  for file in "$segments"/*.partial; do
    if [ -s "$file" ]; then mv "$file" "${file%.partial}.cut"; else rm -f "$file"; fi
  done
  : >"$segments/$next.partial"
}

# One that was killed while it made room for a segment leaves less than one, which the next would refuse for ever. What
# is in it is sent again: the slot keeps all from the begin of the segment on.
clear_cut() {
  local bytes
  bytes=$(ask <<<"select pg_size_bytes(current_setting('wal_segment_size'))")
  find "$segments" -name '*.partial' ! -size "${bytes}c" -exec truncate --size=0 {} +
}

receive() {
  pg_receivewal --directory="$segments" --slot="$slot" --synchronous --no-loop --status-interval=1 \
    --no-password 2>/tmp/said &
  child=$!
  printf '%s\n' "$child" >/tmp/receiver
  wait "$child" || true
  child=
  cat /tmp/said >&2
  if grep -q 'has already been removed' /tmp/said; then skip_gap; fi
  # Somebody has put the data folder back to an earlier time.
  if grep -q "is not in this server's history" /tmp/said; then put_aside 'the server has begun another timeline'; fi
}

if [ "$WAL" != on ]; then
  say 'WAL is not on: nothing is kept'
  while :; do rest 3600; done
fi
chmod 700 /wal
until pg_isready --quiet; do rest 1; done
while :; do
  if meet_server && meet_history && settings && make_slot && clear_cut; then receive; fi
  rest 2
done
