#!/bin/bash
# Starts PostgreSQL, by the image's own entrypoint. The first start, on an empty data folder, restores
# /pg-dump/latest.dump before anybody can connect. It works in a folder beside, which gets its name when all is complete
# and verified: what was interrupted is begun anew, and data that has its place already is never touched.
set -euo pipefail
# Process 1 of a container gets no signal that it does not ask for.
trap 'exit 143' TERM INT

is_server() { [[ ${1:-} =~ ^(postgres$|-) ]]; }
if ! is_server "$@"; then exec docker-entrypoint.sh "$@"; fi
place=$(dirname "$PGDATA")

# Data of another major version: this one cannot read them, and would begin an empty database beside them. What an
# upgrade was filling when it was killed is not in its place yet. Nothing is written before this is known.
check_version() {
  local file found major
  major=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
  file=$PGDATA/PG_VERSION
  [ -s "$file" ] || file=$(find /var/lib/postgresql -maxdepth 3 -name PG_VERSION -size +0 -not -path '*.unfinished/*' \
    -print -quit)
  [ -n "$file" ] || return 0
  found=$(cat "$file")
  case $file in
    *.upgrading/*) echo 'error: this volume is of an upgrade that did not end' ;;
    *) [ "$found" != "$major" ] || return 0
      echo "error: the data in ${file%/*} are of PostgreSQL $found, and this image is PostgreSQL $major" ;;
  esac
  echo 'hint: nothing was written. tsx scripts/postgres_upgrade.ts puts that in order: it starts the version of the data again, and brings them to the new one'
  exit 78
} >&2
check_version

# Opens what the first start restores: postgres may not read it. Root itself writes nothing where a dump that is being
# restored could have put a link.
open_dump() {
  local dump=/pg-dump/latest.dump roles
  AVRIL_DUMP='none' AVRIL_ROLES=''
  if [ -d "$dump" ]; then
    AVRIL_DUMP='folder'
    exec 3< <(exec tar --create --directory="$dump" .)
  elif [ -f "$dump" ]; then
    AVRIL_DUMP='file'
    exec 3<"$dump"
  elif [ -e "$dump" ] || [ -L "$dump" ]; then
    AVRIL_DUMP='odd'
  fi
  for roles in roles.json globals.sql; do
    if [ -f "/pg-dump/latest-$roles" ]; then
      AVRIL_ROLES=$roles
      exec 4<"/pg-dump/latest-$roles"
      break
    fi
  done
  export AVRIL_DUMP AVRIL_ROLES
}

# All else is done by postgres, so that nothing of a dump ever has more rights than the server that it is restored into.
if [ "$(id -u)" = 0 ]; then
  if [ -d /pg-work ]; then
    chown postgres: /pg-work && chmod 700 /pg-work
    # What a server that was killed has left of a backup. The folder of the socket stays itself: the service wal has it
    # mounted, and Docker may have made it, as root's.
    find /pg-work -mindepth 1 ! \( -path /pg-work/socket -type d \) -delete
    mkdir -p /pg-work/socket
    chown --no-dereference postgres: /pg-work/socket
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -d "$place" ]; then chown --no-dereference postgres: "$place"; fi
    open_dump
  fi
  export HOME=/var/lib/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH" "$0" "$@"
fi

# A restore may have a server of its own on the same data, in another container, where the two do not see each other;
# both hold this lock while they live.
serve_alone() {
  exec 9</var/lib/postgresql
  flock --nonblock 9 || {
    echo 'error: another container serves the same data (a restore?); this one tries again by itself' >&2
    exit 75
  }
  # A second socket, by which the service wal, which has no network, reaches the server.
  local socket=/pg-work/socket
  if [ -d "$socket" ]; then
    chmod 700 "$socket"
    set -- "$@" -c "unix_socket_directories=/var/run/postgresql,$socket"
  fi
  exec docker-entrypoint.sh "$@"
}

if [ -s "$PGDATA/PG_VERSION" ]; then serve_alone "$@"; fi

# shellcheck source=postgres/restore.sh
. "$(dirname "$0")/restore.sh"
unfinished=$PGDATA.unfinished
server=

# Data in another place would be hidden by a new, empty database.
check_place() {
  local other
  other=$(find /var/lib/postgresql -maxdepth 3 -name PG_VERSION -size +0 -not -path '*.unfinished/*' -print -quit)
  [ -z "$other" ] ||
    fail "there is data of another PostgreSQL in ${other%/*}" \
    "PGDATA of this image is $PGDATA: set PGDATA in docker-compose.override.yml to where the data are"
  [ -z "$(ls -A "$PGDATA" 2>/dev/null)" ] ||
    fail "$PGDATA holds files, but is no data folder of PostgreSQL" "look what they are; an empty folder is needed"
}

# serve [options]: starts the server with the unfinished data, which nobody reaches over the network. The entrypoint
# becomes the server and keeps its process number; the server that it runs on the way has another.
serve() {
  PGDATA=$unfinished docker-entrypoint.sh "${command[@]}" -c listen_addresses= "$@" &
  server=$!
  until [ "$(awk 'NR == 1 || NR == 8 { printf "%s ", $1 }' "$unfinished/postmaster.pid" 2>/dev/null)" = \
    "$server ready " ]; do
    kill -0 "$server" 2>/dev/null || fail 'PostgreSQL does not start' 'the lines above say why'
    sleep 0.1
  done
}

stop() {
  kill -INT "$server"
  wait "$server" || fail 'PostgreSQL did not end in order' 'the lines above say why'
}

first_start() {
  check_place
  rm -rf "$unfinished" "$work"
  mkdir --mode=700 "$unfinished" "$work"
  if [ "$AVRIL_DUMP" = none ]; then
    say 'there is no db/dumps/latest.dump: the database will be empty'
    serve
    archive='' PGOPTIONS='' PGUSER=$POSTGRES_USER make_app_role
    stop
  else
    copy_dump
    check_dump
    serve
    stop
    # Nobody finds this socket by chance (a backup, a console). What is not complete is thrown away, so nothing need be
    # safe on the disk before.
    serve -c unix_socket_directories=@first-start -c fsync=off -c full_page_writes=off -c autovacuum=off \
      -c lc_messages=C
    restore_dump
    stop
    initdb --sync-only --pgdata="$unfinished" >/dev/null
  fi
  rm -r "$work"
  mv --no-target-directory "$unfinished" "$PGDATA"
  sync "$place" "${place%/*}"
  say "ready in $SECONDS s"
}

command=("$@")
mkdir -p "$place"
exec {lock}<"$place"
flock --nonblock "$lock" || fail 'another container is making the first start with the same volume' 'wait for it'

# In the background, so that a signal ends this process, and all in the container with it, at once.
first_start &
wait $!
exec {lock}<&- 3<&- 4<&-
serve_alone "$@"
