# shellcheck shell=bash
# The two steps of restoring /pg-dump/latest.dump (db/dumps/latest.dump on the host) on a server that is not in use yet: prove it, then bring it back.
dump=/pg-dump/latest.dump
globals=/pg-dump/latest-globals.sql
work=/tmp/first-start

say() { printf 'first start: %s\n' "$*" >&2; }

fail() {
  say "error: $1"
  say "hint: $2"
  exit 1
}

refuse() {
  fail "db/dumps/latest.dump is not a dump that can be used: $1" \
    'nothing was restored. Put a good one in its place, or remove it to begin with an empty database; this is tried again by itself'
}

# Counts the lines of each table's data. In COPY's text form a row is one line, whatever is in it. \001 stands between the fields.
# shellcheck disable=SC2016 # awk's own variables
count='
  counting && $0 == "\\." { printf "%d\001%s\n", rows, name; counting = 0; next }
  counting { rows++; next }
  /^COPY / { name = $0; rows = 0; counting = 1 }
'

# What pg_restore wrote last, with words for people.
explain() {
  local words
  words=$(sed 's/^pg_restore: \(error: \)\?//' "$work/errors" | tail -n 1)
  case $words in
    *'did not find magic string'* | *'too short'*) echo "it is no archive of pg_dump ($words)" ;;
    *'unsupported version'*) echo "it was made by a newer PostgreSQL ($words)" ;;
    *'end of file'* | *'could not read'*) echo "it ends too early ($words)" ;;
    *) echo "it is damaged ($words)" ;;
  esac
}

heading() { sed -n "s/^; *$1: *//p" "$work/list" | head -n 1; }

# Reads all of the dump: a list of contents alone does not see that it was cut short.
check_dump() {
  [ -e "$dump" ] || refuse 'it is a link that leads out of db/dumps'
  [ -s "$dump" ] || refuse 'it is empty'
  pg_restore --list --create "$dump" >"$work/list" 2>"$work/errors" || refuse "$(explain)"
  archive=$(heading dbname)
  say "found db/dumps/latest.dump ($(du --dereference --summarize --human-readable "$dump" | cut -f 1)): database $archive," \
    "of $(sed -n 's/^; Archive created at //p' "$work/list"), PostgreSQL $(heading 'Dumped from database version'). Reading all of it"
  pg_restore --data-only --file=- "$dump" 2>"$work/errors" | LC_ALL=C awk "$count" >"$work/rows" || refuse "$(explain)"
  [ -s "$work/rows" ] || refuse 'there is no data of any table in it'
  say "it is whole: $(LC_ALL=C awk -F '\001' '{ rows += $1 } END { printf "%d tables, %d rows", NR, rows }' "$work/rows")"
}

query() { psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=archive="$archive" --set=db="$POSTGRES_DB" --set=user="$POSTGRES_USER" "$@"; }

# The roles that the backup wrote down beside the dump. POSTGRES_USER is there already, and its password is that of .env.
create_roles() {
  [ -e "$globals" ] || return 0
  local user
  user=$(query <<<"select quote_ident(:'user')")
  grep -E '^(CREATE ROLE|ALTER ROLE|GRANT) ' "$globals" | grep -vF -e "CREATE ROLE $user;" -e "ALTER ROLE $user WITH " |
    sed 's/ GRANTED BY [^;]*;$/;/' >"$work/roles" || true
  query --file="$work/roles" >/dev/null || fail 'the roles in db/dumps/latest-globals.sql could not be made' 'correct or remove that file; this is tried again by itself'
}

# How the dump makes its database: owner, encoding, language, settings, rights, comment.
describe_database() {
  grep -E '^[0-9]+; [0-9]+ [0-9]+ (ACL|COMMENT|SECURITY LABEL) - DATABASE ' "$work/list" >"$work/of-database" || true
  pg_restore --create --no-tablespaces --use-list="$work/of-database" --file="$work/database.sql" "$dump"
  query <<<'drop database :"db"; drop database if exists :"archive"'
  if ! grep '^CREATE DATABASE ' "$work/database.sql" | query 2>"$work/errors"; then
    say "the database cannot be made with the language that it had, so it gets that of this server ($(tail -n 1 "$work/errors"))"
    sed -i "s/^\(CREATE DATABASE .* ENCODING = '[^']*'\) .*;$/\1;/" "$work/database.sql"
  fi
  query <<<'drop database if exists :"archive"'
}

# make_database [psql options]: makes it empty, under the name that it has here
make_database() {
  query <<<'drop database if exists :"db"; drop database if exists :"archive"'
  query --file="$work/database.sql" "$@" >/dev/null
  if [ "$archive" != "$POSTGRES_DB" ]; then query <<<'alter database :"archive" rename to :"db"'; fi
}

# A pass without the data shows which roles the dump names that are not here. With them nothing in it loses its owner or its rights.
create_missing_roles() {
  local role PGOPTIONS="$PGOPTIONS -c log_min_messages=fatal"
  make_database --set=ON_ERROR_STOP=0 2>"$work/errors"
  pg_restore --schema-only --no-tablespaces --dbname="$POSTGRES_DB" "$dump" 2>>"$work/errors" || true
  sed -n 's/.*ERROR:  role "\(.*\)" does not exist$/\1/p' "$work/errors" | sort -u >"$work/missing"
  while IFS= read -r role; do
    query --set=role="$role" <<<'create role :"role"'
    say "the dump names the role $role, which is neither here nor in db/dumps/latest-globals.sql: it keeps what it owns and its rights," \
      'but cannot log in until it gets a password (alter role … login password …)'
  done <"$work/missing"
}

compare_rows() {
  query --dbname="$POSTGRES_DB" --file="$(dirname "${BASH_SOURCE[0]}")/compare_rows.sql" <"$work/rows" >"$work/differences"
  [ ! -s "$work/differences" ] || fail "what was restored is not what db/dumps/latest.dump holds: $(head -n 4 "$work/differences")" 'nothing of it is kept; this is tried again by itself'
}

restore_dump() {
  export LC_ALL=C PGHOST=@first-start PGUSER=$POSTGRES_USER PGDATABASE=template1
  # The settings of the database that comes back must not hold up its restoring.
  export PGOPTIONS='-c client_min_messages=warning -c statement_timeout=0 -c default_transaction_read_only=off'
  create_roles
  describe_database
  create_missing_roles
  say 'restoring …'
  make_database
  pg_restore --exit-on-error --no-tablespaces --jobs="$(nproc)" --dbname="$POSTGRES_DB" "$dump" 2>"$work/errors" ||
    fail "db/dumps/latest.dump could not be restored: $(tail -n 4 "$work/errors")" 'nothing of it is kept; this is tried again by itself'
  say 'restored; comparing the rows of each table with the dump'
  compare_rows
  vacuumdb --quiet --analyze-only --jobs="$(nproc)" --dbname="$POSTGRES_DB"
  query <<<"select 'create database postgres' where not exists (select from pg_database where datname = 'postgres') \gexec"
  say 'verified'
}
