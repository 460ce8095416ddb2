# shellcheck shell=bash
# The steps of restoring /pg-dump/latest.dump (db/dumps/latest.dump on the host) on a server that is not in use yet:
# copy it, prove it, then bring it back. Of what is in it, and in the roles beside it, nothing is ever read by psql as a
# script: there "\!" would run a program. On the volume, where there is room.
work=$PGDATA.first-start
dump=$work/dump
roles=$work/$AVRIL_ROLES

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

# Counts the lines of each table's data. In COPY's text form a row is one line, whatever is in it. \001 stands between
# the fields.
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
    *'did not find magic string'* | *'too short'*) echo "it is not an archive of pg_dump ($words)" ;;
    *'unsupported version'*) echo "it was made by a newer PostgreSQL ($words)" ;;
    *'end of file'* | *'could not read'*) echo "it ends too early ($words)" ;;
    *) echo "it is damaged ($words)" ;;
  esac
}

heading() { sed -n "s/^; *$1: *//p" "$work/list" | head -n 1; }

# What start.sh opened, as files of postgres's own: several processes read them at once.
copy_dump() {
  case $AVRIL_DUMP in
    odd) refuse 'it is a link that leads out of db/dumps, or no file' ;;
    folder) mkdir "$dump" && tar --extract --directory="$dump" <&3 ;;
    file) cat <&3 >"$dump" ;;
  esac || fail 'db/dumps/latest.dump cannot be copied' 'the lines above say why; this is tried again by itself'
  if [ -n "$AVRIL_ROLES" ]; then cat <&4 >"$roles"; fi
}

# Reads all of the dump: a list of contents alone does not see that it was cut short.
check_dump() {
  # explain reads what pg_restore says, and awk lines that may be no text at all. The server is still to be made in the
  # container's own language.
  local -x LC_ALL=C
  [ -s "$dump" ] || refuse 'it is empty'
  pg_restore --list --create "$dump" >"$work/list" 2>"$work/errors" || refuse "$(explain)"
  archive=$(heading dbname)
  say "found db/dumps/latest.dump ($(du --dereference --summarize --human-readable "$dump" |
    cut -f 1)): database $archive," \
    "of $(sed -n 's/^; Archive created at //p' "$work/list"), PostgreSQL $(heading \
    'Dumped from database version'). Reading all of it"
  pg_restore --data-only --file=- "$dump" 2>"$work/errors" | awk "$count" >"$work/rows" || refuse "$(explain)"
  [ -s "$work/rows" ] || refuse 'it holds no data of any table'
  say "it is whole: $(awk -F '\001' '{ rows += $1 } END { printf "%d tables, %d rows", NR, rows }' "$work/rows")"
}

query() {
  PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" psql --no-psqlrc --quiet --no-align --tuples-only \
    --set=ON_ERROR_STOP=1 --set=archive="$archive" --set=db="$POSTGRES_DB" --set=user="$POSTGRES_USER" "$@"
}

# given FILE SCRIPT: SQL that works on the text of a file. In base64 that can be nothing but data.
given() {
  printf "create temp table given as select convert_from(decode('%s', 'base64'), 'UTF8') as text;\n" \
    "$(base64 --wrap=0 "$1")"
  cat "$2"
}

# The roles that the backup wrote down beside the dump. POSTGRES_USER is there already, and its password is that of
# .env. A role that cannot be made holds up no data.
create_roles() {
  local scripts
  scripts=$(dirname "${BASH_SOURCE[0]}")
  case $AVRIL_ROLES in
    '') return ;;
    *.json) given "$roles" "$scripts/make_roles.sql" ;;
    *.sql) given "$roles" "$scripts/make_old_roles.sql" ;;
  esac | query 2>"$work/errors" >/dev/null || say 'warning: the roles beside db/dumps/latest.dump cannot be read'
  if [ -s "$work/errors" ]; then
    say "warning: not all roles of latest-$AVRIL_ROLES could be made: $(cat "$work/errors")"
  fi
}

# How the dump makes its database: owner, encoding, language, settings, rights, comment. pg_restore puts it behind
# \restrict, where psql has no commands of its own.
describe_database() {
  local PGOPTIONS="$PGOPTIONS -c log_min_messages=fatal"
  grep -E '^[0-9]+; [0-9]+ [0-9]+ (ACL|COMMENT|SECURITY LABEL) - DATABASE ' "$work/list" >"$work/of-database" || true
  pg_restore --create --no-tablespaces --use-list="$work/of-database" --file="$work/database.sql" "$dump"
  grep -q '^\\restrict ' "$work/database.sql" ||
    fail 'this PostgreSQL has no \restrict' 'take the newest minor release of its image'
  query <<<'drop database :"db"'
  language=
  if ! make_database --set=ON_ERROR_STOP=0 2>"$work/errors"; then
    language=own
    say "warning: the database cannot be made with the language that it had, so it gets that of this server ($(head \
      -n 1 "$work/errors"))"
  fi
}

# make_database [psql options]: makes it empty, under the name that it has here
make_database() {
  query <<<'drop database if exists :"db"; drop database if exists :"archive"'
  # Then the dump's own command finds it there, and all that follows it does as with a database of its own.
  if [ -n "$language" ]; then
    query <<<'create database :"archive" template template0'
    set -- "$@" --set=ON_ERROR_STOP=0
  fi
  query "$@" --file="$work/database.sql" >/dev/null || return
  if [ "$archive" != "$POSTGRES_DB" ]; then query <<<'alter database :"archive" rename to :"db"'; fi
}

# The settings of the roles and of the database that come back must not hold up their restoring.
overrule_settings() { PGOPTIONS="$PGOPTIONS $(query --file="$(dirname "${BASH_SOURCE[0]}")/session_settings.sql")"; }

# A pass without the data shows which roles the dump names that are not here. With them nothing in it loses its owner or
# its rights.
create_missing_roles() {
  local role quiet='-c log_min_messages=fatal'
  PGOPTIONS="$PGOPTIONS $quiet" make_database --set=ON_ERROR_STOP=0 2>"$work/errors"
  overrule_settings
  PGOPTIONS="$PGOPTIONS $quiet" pg_restore --schema-only --no-tablespaces --dbname="$POSTGRES_DB" \
    "$dump" 2>>"$work/errors" || true
  sed -n 's/.*ERROR:  role "\(.*\)" does not exist$/\1/p' "$work/errors" | sort -u >"$work/missing"
  while IFS= read -r role; do
    query --set=role="$role" <<<'create role :"role"'
    say "warning: the dump names the role $role, which is neither here nor among the roles beside it: it keeps what it owns and its rights," \
      'but cannot log in until it gets a password (alter role … login password …)'
  done <"$work/missing"
}

# Makes the role that phoenix logs in as, if it has one of its own, and gives it the database.
make_app_role() {
  [ -n "${POSTGRES_APP_USER:-}" ] || return 0
  local here
  here=$(dirname "${BASH_SOURCE[0]}")
  {
    given <(printf '%s' "$POSTGRES_APP_PASSWORD") "$here/app_role.sql"
    echo '\set ON_ERROR_STOP 0'
    cat "$here/superusers_objects.sql"
    echo '\gexec'
  } | query --dbname="$POSTGRES_DB" --set=app="$POSTGRES_APP_USER" >/dev/null 2>"$work/errors" || true
  if [ -s "$work/errors" ]; then
    say "warning: not all of $POSTGRES_DB could be given to $POSTGRES_APP_USER: $(head -n 4 "$work/errors")"
  fi
}

compare_rows() {
  query --dbname="$POSTGRES_DB" \
    --file="$(dirname "${BASH_SOURCE[0]}")/compare_rows.sql" <"$work/rows" >"$work/differences"
  [ ! -s "$work/differences" ] ||
    fail "what was restored is not what db/dumps/latest.dump holds: $(head -n 4 "$work/differences")" \
    'nothing of it is kept; this is tried again by itself'
}

# One that comes back without its password cannot log in yet.
bring_back() {
  local here path give='' app=${POSTGRES_APP_USER:-}
  here=$(dirname "${BASH_SOURCE[0]}")
  path=$(query --dbname="$POSTGRES_DB" --file="$here/search_path.sql")
  if [ -n "$app" ]; then
    give=$(cat "$here/superusers_objects.sql")
    query --set=app="$app" <<<"select format('alter role %I login', rolname) from pg_roles where rolname = :'app' and not rolcanlogin \\gexec"
  fi
  bash "$here/bring_back.sh" "$POSTGRES_DB" "$dump" "$(nproc)" "$path" "$app" "$give" --no-tablespaces
}

say_lost() {
  local object why sql
  while IFS=$'\001' read -r -d $'\002' object why sql; do
    say "warning: not restored: $(tr -d '\n' <<<"$object"): $why"
    say "  $sql"
  done <"$work/lost"
}

restore_dump() {
  export LC_ALL=C PGHOST=@first-start PGUSER=$POSTGRES_USER PGDATABASE=template1
  export PGOPTIONS='-c role=none -c session_preload_libraries= -c local_preload_libraries= -c standard_conforming_strings=on -c client_min_messages=warning -c statement_timeout=0'
  create_roles
  overrule_settings
  describe_database
  create_missing_roles
  say 'restoring …'
  make_database
  bring_back >"$work/lost" 2>"$work/errors" ||
    fail "db/dumps/latest.dump could not be restored: $(tail -n 5 "$work/errors")" \
    'nothing of it is kept; this is tried again by itself'
  say 'restored; comparing the rows of each table with the dump'
  compare_rows
  make_app_role
  local only=()
  # What the dump brought along is not gathered again.
  if vacuumdb --help | grep -q -- --missing-stats-only; then only=(--missing-stats-only); fi
  vacuumdb --quiet --analyze-only "${only[@]}" --jobs="$(nproc)" --dbname="$POSTGRES_DB" 2>"$work/errors" ||
    say "warning: not all statistics could be gathered: $(tail -n 1 "$work/errors")"
  query <<<"select 'create database postgres' where not exists (select from pg_database where datname = 'postgres') \gexec"
  say_lost
  say 'verified'
}
