#!/bin/bash
# Base backups, in the service wal, by postgres:
#   base.sh make NAME [PREVIOUS]   makes NAME.partial, verified, and prints what its manifest and its size tell
#   base.sh publish NAME           takes base.json from its standard input, and gives it its name
#   base.sh list                   base.json of each, a line each
#   base.sh remove NAME …          removes bases
#   base.sh read NAME FILE         a file of a base
#   base.sh segments               the names and sizes of the segments
#   base.sh piece SEGMENT OFFSET BYTES   a range of bytes of a segment, compressed
#   base.sh digest SEGMENT OFFSET BYTES  the sha256 of a range as it is
#   base.sh anew WHY               has the service put aside what it has, and begin anew
#   base.sh why                    why it did that last, if that was in the last day
# base.sh forget SEGMENT removes the segments before that one, and what was put aside of a former server a week ago
set -euo pipefail
umask 077
export LC_ALL=C.UTF-8 LANGUAGE=C PGUSER=$POSTGRES_USER PGCONNECT_TIMEOUT=5 PGOPTIONS='-c role=none -c statement_timeout=0'
base=/wal/base segments=/wal/segments

make() {
  local name=$1 previous=${2:-} new=$base/$1.partial
  # What a run that was killed has started here may still be at it: it is waited for.
  exec 9>"$base/.lock"
  flock --timeout 3600 9 || { echo 'another base has been being made for an hour' >&2; exit 75; }
  rm -rf "$base"/*.partial
  set -- --pgdata="$new" --format=tar --wal-method=none --checkpoint=fast --compress=server-zstd:3 --no-password \
    --label="avril $name"
  if [ -n "$previous" ]; then set -- "$@" --incremental="$base/$previous/backup_manifest"; fi
  if ! { pg_basebackup "$@" && pg_verifybackup --no-parse-wal --quiet "$new"; } >&2; then
    rm -rf "$new"
    exit 1
  fi
  head --bytes=300 "$new/backup_manifest"
  tail --bytes=600 "$new/backup_manifest"
  printf '"Size": %s\n' "$(stat --format=%s "$new/base.tar.zst")"
}

publish() {
  cat >"$base/$1.partial/base.json"
  find "$base/$1.partial" -type f -exec sync {} +
  mv --no-target-directory "$base/$1.partial" "$base/$1"
  sync "$base"
}

# The service may put all of them aside meanwhile (base.sh anew): what is gone is none.
list() {
  local file text
  for file in "$base"/*/base.json; do
    case $file in *.partial/* | *\**) continue ;; esac
    if text=$(tr -d '\n' <"$file"); then
      printf '%s\n' "$text"
    elif [ -e "$file" ]; then
      return 74
    fi
  done
}

# Whole, or none any more.
remove() {
  local name
  for name in "$@"; do
    mv --no-target-directory "$base/$name" "$base/$name.partial"
    rm -rf "$base/$name.partial"
  done
}

list_segments() {
  find "$segments" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}(\.partial)?' -printf '%f %s\n'
}

# It may get its whole name meanwhile.
range() {
  local file=$segments/$1
  [ -e "$file" ] || file=$file.partial
  exec 8<"$file" || exec 8<"$segments/$1"
  # dd is content with less.
  [ "$(stat --dereference --format=%s /proc/self/fd/8)" -ge $(($2 + $3)) ] || {
    echo "the segment $1 is cut" >&2
    exit 65
  }
  dd bs=256K iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" status=none <&8
}

piece() { range "$@" | zstd --quiet -3 --stdout; }
digest() { range "$@" | sha256sum | head --bytes=64; }

anew() {
  printf '%s\n' "$1" >/wal/anew.new
  mv --no-target-directory /wal/anew.new /wal/anew
  local receiver
  receiver=$(cat /tmp/receiver)
  if [ "$(cat "/proc/$receiver/comm")" = pg_receivewal ]; then kill -INT "$receiver"; fi
}

why() {
  find /wal -maxdepth 2 -path '/wal/former-*/why' -mtime -1 | sort | tail -n 1 |
    xargs --no-run-if-empty head --bytes=300
}

forget() {
  local name
  find /wal -maxdepth 1 -name 'former-*' -mtime +7 -exec rm -r {} +
  for name in "$segments"/*; do
    name=${name##*/}
    if [[ $name =~ ^[0-9A-F]{24}(\.cut)?$ && $name < $1 ]]; then rm -f "$segments/$name"; fi
  done
}

case $1 in
  make | publish | list | remove | piece | digest | anew | why | forget) "$@" ;;
  read) cat "$base/$2/$3" ;;
  segments) list_segments ;;
esac
