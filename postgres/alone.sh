# Run by bash in a container of its own, on the data of a server that does not run: serves that data to `docker exec`
# alone, until its standard input is closed. The settings and the rules of access in the data folder are left aside, for
# they may be what keeps the server from starting.
# shellcheck shell=bash
set -euo pipefail

[ -s "$PGDATA/PG_VERSION" ] || { echo "there is no data in $PGDATA" >&2; exit 66; }
# Two servers on the same data would destroy it, and from one container to another PostgreSQL cannot see that.
exec 9</var/lib/postgresql
flock --nonblock 9 || { echo 'another server is using this data' >&2; exit 75; }

own=$(mktemp -d)
: >"$own/empty.conf"
echo 'local all all trust' >"$own/hba.conf"
chmod -R a+rX "$own"
# ALTER SYSTEM's settings are read all the same: those that can keep a server from starting, or us from reaching it, are
# overruled.
settings=(config_file="$own/empty.conf" hba_file="$own/hba.conf" listen_addresses= port=5432 shared_preload_libraries= shared_buffers=128MB huge_pages=try ssl=off
  logging_collector=off)
# As process 1 of its container it gets no signal that it does not ask for. Until the entrypoint has become the server
# SIGINT means nothing to it.
finish() { { kill -TERM "$server" && kill -INT "$server" && wait "$server"; } 2>/dev/null || true; }
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'exit 129' HUP
# Whoever waits for the first line of the standard output waits for "ready".
docker-entrypoint.sh postgres "${settings[@]/#/--}" >&2 &
server=$!
cat <&0 >/dev/null &
input=$!
until psql -qAt -U "$POSTGRES_USER" -d template1 -c '' >/dev/null 2>&1; do
  kill -0 "$server" 2>/dev/null || { wait "$server"; exit; }
  kill -0 "$input" 2>/dev/null || exit 0
  sleep 0.1
done
echo ready
wait "$input"
