# The archive of the WAL, by the service that keeps it.
# shellcheck shell=bash

in_wal() { docker exec --user postgres "$STACK-wal-1" "$@" 3>&-; }

# archive_start: the site was started without it
archive_start() {
  echo WAL=on >>"$SITE/.env"
  compose up --detach --wait wal 2>&1
}

# archive_base full|incremental: prints its name
archive_base() { node "$SITE/test/helpers/make_base.js" "$1" 2>/dev/null 3>&-; }
