# bring_back.sh DATABASE DUMP JOBS SEARCH_PATH [options of pg_restore]: fills an empty database from a dump. The data
# come back, or it ends with 1. Whatever else does not is printed: for each object its name, why, and its SQL, with \001
# between them and \002 behind.
# pg_restore works with an empty search_path, and PostgreSQL builds indexes with a safe one: a function that counts on
# the site's own fails there, and with it each index, generated column, check or materialized view that calls it. So
# what failed is tried again with that search_path set for the functions.
# shellcheck shell=bash
set -euo pipefail
database=$1 dump=$2 jobs=$3 path="$4, \"avril restores\""
shift 4
flags=("$@")
export LC_ALL=C PGOPTIONS=${PGOPTIONS:-}
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
: >"$work/lost"

query() { PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" psql --dbname="$database" --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=path="$path" "$@"; }

errors() { sed -n 's/^pg_restore: error: \(could not execute query: \)\?//p' "$work/errors"; }

# restore [options]: 0 when all came, 1 when something did not; any other end of pg_restore ends this too.
restore() {
  : >"$work/ids"
  if pg_restore --verbose "${flags[@]}" --dbname="$database" "$@" "$dump" 2>"$work/errors"; then return 0; fi
  # The lines of several jobs can run into one another, but each part of a line from here on is written at once.
  grep -o 'from TOC entry [0-9]*; [0-9]* [0-9]* ' "$work/errors" | sed 's/^from TOC entry //; s/;.*/;/' | sort -u >"$work/ids" || true
  if tail -n 1 "$work/errors" | grep -q 'errors ignored on restore' && [ -s "$work/ids" ]; then forget_statistics; else give_up; fi
  [ ! -s "$work/ids" ]
}

# Statistics of what is not there any more (another version of an extension has fewer indexes) are no loss: what lacks
# some gets them anew.
forget_statistics() {
  pg_restore --list "$dump" | awk '/^[0-9]+; [0-9]+ [0-9]+ STATISTICS DATA / { print $1 }' >"$work/statistics"
  grep -vxFf "$work/statistics" "$work/ids" >"$work/others" || true
  mv "$work/others" "$work/ids"
}

give_up() {
  { errors | head -n 4; tail -n 1 "$work/errors"; } >&2
  exit 1
}

# The entries of the table of contents that failed, in its order.
select_failed() { pg_restore --list "${flags[@]}" "$dump" | awk 'NR == FNR { failed[$1]; next } $1 in failed' "$work/ids" - >"$work/failed"; }

# One job, so that what is said of an entry stands behind its name; and no triggers, which are there by now.
again() { PGOPTIONS="$PGOPTIONS -c session_replication_role=replica" restore --use-list="$work/failed"; }

# The first tries may have made the object, and failed in what comes after it: its owner, its rights.
why() {
  awk -v id="$1" '
    /^pg_restore: from TOC entry / { here = $5 == id }
    here && sub(/^pg_restore: error: ([^:]*: )?(ERROR:  )?/, "") { if (!/ already exists/) { why = $0; exit } there = $0 }
    END { if (!why) print there; else print (there ? "it is there, but not all of it: " : "") why }
  ' "$work/errors"
}

lose() { printf '%s\001%s\001%s\002' "$@" >>"$work/lost"; }

# lose_failed: what is in $work/failed stays away
lose_failed() {
  local entry id
  while IFS= read -r entry; do
    id=${entry%% *}
    printf '%s\n' "$entry" >"$work/one"
    # The name without the numbers in front and the owner behind it.
    lose "$(cut -d ' ' -f 4- <<<"$entry" | sed 's/ [^ ]*$//; s/ - / /')" "$(why "$id")" \
      "$(pg_restore --use-list="$work/one" --file=- "${flags[@]}" "$dump" | sed '1,/^-- Name: /d; /^-- PostgreSQL database dump complete/,$d' | grep -vE '^(--)?$')"
  done <"$work/failed"
}

# lift checks|generated: takes from the tables whose rows failed, and from those that they inherit from, what may keep
# rows out. `put_back` ends it.
lift() {
  query --set=what="$1" --file=<(cat <<'SQL'
set search_path = '';
set client_min_messages = warning;
create schema if not exists "avril restores";
create table if not exists "avril restores".lifted (kind text, object text, removal text, sql text, weaker text);
create temp table failed (entry text);
\copy failed from pstdin with (format csv, delimiter E'\x01', quote E'\x02')
create temp table held as
with recursive it as (
  select c.oid from pg_class c join pg_namespace n on n.oid = relnamespace join failed on starts_with(entry, concat(nspname, ' ', relname, ' '))
  union select inhparent from it join pg_inherits on inhrelid = it.oid)
select oid from it;
create temp table found as
select 'checks' as kind, concat('CHECK ', owner, ' ', conname) as object, format('alter %s drop constraint %I', owner, conname) as removal, command as sql, command || ' not valid' as weaker
from (select *, case when conrelid = 0 then 'domain ' || contypid::regtype else 'table ' || conrelid::regclass end as owner from pg_constraint) as it,
  format('alter %s add constraint %I %s', owner, conname, pg_get_constraintdef(oid)) as command
where contype = 'c' and coninhcount = 0 and (conrelid in (table held) or contypid in (select atttypid from pg_attribute where attrelid in (table held)))
union all
select 'checks', concat('INDEX ', indexrelid::regclass), format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid), null
from pg_index
where indrelid in (table held) and (indexprs is not null or indpred is not null)
  and not exists (select from pg_inherits where inhrelid = indexrelid) and not exists (select from pg_constraint where conindid = indexrelid)
union all
select 'generated', concat('GENERATED COLUMN ', attrelid::regclass, ' ', attname), format('alter table %s alter %I drop expression, alter %2$I drop not null', attrelid::regclass, attname),
  format('%I generated always as (%s) stored', attname, pg_get_expr(adbin, adrelid)), null
from pg_attribute join pg_attrdef on adrelid = attrelid and adnum = attnum
where attgenerated = 's' and attinhcount = 0 and attrelid in (table held);
insert into "avril restores".lifted select * from found where kind = :'what';
select removal from found where kind = :'what' \gexec
SQL
  ) < <(cut -d ' ' -f 6- "$work/failed") >/dev/null
}

# What was lifted comes back; a check, if not for the rows that are there, at least for those to come. A column that was
# generated stays without its values.
put_back() {
  [ -n "$(query <<<"select true from pg_namespace where nspname = 'avril restores'")" ] || return 0
  query >>"$work/lost" <<'SQL'
set search_path = '';
set client_min_messages = error;
create function pg_temp.attempt(command text) returns text language plpgsql as
  $$begin execute command; return null; exception when others then return sqlerrm; end$$;
create temp table lost as
select *, case kind when 'generated' then 'its expression cannot be computed, so it is an ordinary column now, without values' else pg_temp.attempt(sql) end as error
from "avril restores".lifted;
delete from lost where error is null;
select concat(object, E'\x01', error, case when pg_temp.attempt(weaker) is null and weaker is not null then '; it holds for new rows' end, E'\x01', sql, E'\x02') from lost;
drop schema "avril restores" cascade;
SQL
}

# Sets the search_path for the site's functions that have none of their own; `own_path` takes it back, and is needed for
# what was interrupted, too.
set_path() {
  query <<'SQL'
update pg_proc set proconfig = proconfig || ('search_path=' || :'path') from pg_language, pg_namespace
where pg_language.oid = prolang and lanname not in ('internal', 'c') and prokind <> 'a' and pg_namespace.oid = pronamespace and nspname !~ '^(pg_|information_schema$)'
  and not exists (select from unnest(proconfig) as it where starts_with(it, 'search_path='))
SQL
}
own_path() {
  query <<<"update pg_proc set proconfig = nullif(array_remove(proconfig, 'search_path=' || :'path'), '{}') where 'search_path=' || :'path' = any (proconfig)"
}

has_rows() { grep -q ' TABLE DATA ' "$work/failed"; }

# Each round tries what failed in the one before.
bring_back() {
  if restore --jobs="$jobs"; then return; fi
  local round
  for round in path checks generated; do
    select_failed
    if [ "$round" = path ]; then set_path; elif has_rows; then lift "$round"; else break; fi
    if again; then break; fi
  done
  select_failed
  if has_rows; then give_up; fi
  lose_failed
  put_back
  # Statistics of an expression need the same.
  vacuumdb --quiet --analyze-only --dbname="$database" || true
  own_path
}

bring_back
cat "$work/lost"
