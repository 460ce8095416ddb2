#!/bin/bash
# The contract of the official image: the first start makes the cluster, its user and its database, and runs what lies
# in /docker-entrypoint-initdb.d against a server that only listens on its unix socket.
set -euo pipefail

init() {
  : "${POSTGRES_PASSWORD:?the first start needs a password}"
  initdb --no-sync --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") >/dev/null
  # Local connections are trusted, as in the official image; whoever comes over the network gives the password.
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w start -o "-c listen_addresses='' -c fsync=off" >/dev/null

  export PGUSER=$POSTGRES_USER PGDATABASE=$POSTGRES_DB PGOPTIONS='-c client_min_messages=warning'
  if [ "$POSTGRES_DB" != postgres ]; then
    # shellcheck disable=SC2016 # psql fills in its own variable
    echo 'create database :"db"' | psql -v ON_ERROR_STOP=1 -d postgres -v db="$POSTGRES_DB" -q
  fi
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) "$file" ;;
      *.sql) psql -v ON_ERROR_STOP=1 -q -f "$file" ;;
      *) echo "ignoring $file" ;;
    esac
  done
  unset PGUSER PGDATABASE PGOPTIONS
  pg_ctl -w -m fast stop >/dev/null
  echo 'PostgreSQL init process complete; ready for start up.'
}

export POSTGRES_USER=${POSTGRES_USER:-postgres}
export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}

if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  install -d -o postgres -g postgres -m 3777 /var/run/postgresql
  find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
  exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
fi

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  init
fi
exec "$@"
