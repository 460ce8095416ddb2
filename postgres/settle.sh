#!/bin/bash
# settle.sh FROM: run by bash after recover.sh with MODE=become, in the same container. Ends the server that was
# recovered, and puts its data where the site's own server looks for them: by one rename, when every page is proved and
# all is safe on the disk. There the file recovered_from has FROM, if there is one to name.
set -euo pipefail
place=$PGDATA.unfinished
data=$place/data

pg_ctl --pgdata="$data" --mode=fast --wait --silent stop
# The server holds it until it has ended, which is a moment after its pid file is gone.
exec {lock}<"${place%/*}"
flock --timeout 60 "$lock" || {
  echo 'error: another container is making the first start with the same volume' >&2
  exit 75
}
# Data of a server that was set up without checksums tell nothing.
if ! pg_controldata --pgdata="$data" | grep -q '^Data page checksum version: *0$' &&
  ! pg_checksums --check --pgdata="$data" >/dev/null; then
  # A server that is there is not exchanged for such a one; of one that is lost there is nothing better.
  [ -n "$1" ] || {
    echo 'error: pages of the recovered data are damaged: the lines above name them' >&2
    exit 65
  }
  echo 'warning: pages of the recovered data are damaged: the lines above name them. What they had, a backup set may have: backup_restore.ts --tables' >&2
fi
# What ALTER SYSTEM had set is part of the server.
mv "$place/auto.conf" "$data/postgresql.auto.conf"
# That is what it had set when the base was made: transactions that were prepared since may need more room, and without
# it the server does not start.
prepared=$(find "$data/pg_twophase" -type f | wc -l)
if [ "$(postgres -D "$data" -C max_prepared_transactions)" -lt "$prepared" ]; then
  printf 'max_prepared_transactions = %s\n' "$prepared" >>"$data/postgresql.auto.conf"
fi
rm -f "$data/backup_manifest" "$data/backup_label.old"
if [ -n "$1" ]; then printf '%s\n' "$1" >"$data/recovered_from"; fi
initdb --sync-only --pgdata="$data" >/dev/null
mv --no-target-directory "$data" "$PGDATA"
sync "${place%/*}"
rm -rf "$place"
