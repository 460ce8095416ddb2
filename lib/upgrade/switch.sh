# switch.sh LOG OLD NEXT_ENV ENV VOLUME IMAGE PGDATA COMMAND…: has the server of another volume take the place of OLD, a
# container, or nothing when none runs. It goes on when whoever started it is killed: from the first line on the site
# has no database until the last one has ended. NEXT_ENV takes the place of ENV; COMMAND starts the server that ENV
# names, and waits until it is healthy. With PGDATA the data in VOLUME get the name by which they are served: not before
# nobody can write to those of OLD any more.
# shellcheck shell=bash
set -euo pipefail
log=$1 old=$2 next_env=$3 env=$4 volume=$5 image=$6 pgdata=$7
shift 7
exec </dev/null >"$log" 2>&1

if [ -n "$old" ]; then docker stop "$old"; fi
# A person may take down another setting in it while that lasts.
if [ "$env" -nt "$next_env" ]; then
  echo "$env was changed meanwhile; run it again"
  if [ -n "$old" ]; then docker start "$old"; fi
  exit 1
fi
if [ -n "$pgdata" ]; then
  docker run --rm --network none --user postgres --entrypoint mv --volume "$volume:/var/lib/postgresql" "$image" \
    --no-target-directory "$pgdata.upgrading" "$pgdata" || {
    if [ -n "$old" ]; then docker start "$old"; fi
    exit 1
  }
fi
chown --reference="$env" "$next_env"
mv --no-target-directory "$next_env" "$env"
sync "$env"
"$@" || {
  # Its log goes with its container when the former one comes back.
  docker ps --all --quiet --filter "volume=$volume" | xargs --no-run-if-empty --max-args 1 docker logs --tail 6
  exit 1
}
