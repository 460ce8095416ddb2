# bring_back.sh DATABASE DUMP JOBS SEARCH_PATH APP GIVE [options of pg_restore]: fills an empty database from a dump.
# The data come back, or it ends with 1. Whatever else does not is printed: for each object its name, why, and its SQL,
# with \001 between them and \002 behind. APP is the role that phoenix logs in as; GIVE is empty, or SQL that makes the
# statements which give it what belongs to a superuser.
#
# Who owns a table has the restore call functions of his: in checks, domains, keys of partitions, casts, a constant in a
# view; nobody can list all ways. Whoever restores lends them his rights, and from SET ROLE they find back. So the
# superuser restores what is a superuser's, while nothing of anybody else is there; then each of the others logs in and
# restores what is his; and at last the superuser what computes nothing, as rights.
#
# pg_restore works with an empty search_path, and PostgreSQL builds indexes with a safe one: a function that counts on
# the site's own fails there, and with it each index, generated column, check or materialized view that calls it. So
# what failed is tried again with that search_path set for the functions.
#
# Long, since who restores a part, and how what failed is tried again, are one thing.
# shellcheck shell=bash
set -euo pipefail
database=$1 dump=$2 jobs=$3 path="$4, \"avril restores\"" app=$5 give=$6
shift 6
flags=("$@")
export LC_ALL=C PGOPTIONS=${PGOPTIONS:-} PGUSER
superuser=$PGUSER
work=$(mktemp --directory)
trap 'take_back || true; rm -rf "$work"' EXIT
: >"$work/lost"

query() {
  PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" psql --dbname="$database" --no-psqlrc --quiet --no-align \
    --tuples-only --set=ON_ERROR_STOP=1 --set=path="$path" --set=app="$app" --set=give="${give:+yes}" \
    --set=flags="${flags[*]}" "$@"
}

# as ROLE PROGRAM …: what is set for another role does not hold, and it gets no connection that is kept for replication.
as() {
  local role=$1
  shift
  if [ "$role" = "$superuser" ]; then
    "$@" --dbname="$database"
  else
    PGUSER=$role PGOPTIONS="$(cat "$work/options") $([ "$role" != "$app" ] || cat "$work/lent-options")" "$@" \
      --dbname="${database% replication=database}"
  fi
}

# What the superuser's sessions are opened with, as far as anybody may set it.
options() {
  query <<'SQL'
select concat_ws(' ', '-c role=none', string_agg(format('-c %s=%s', name, regexp_replace(setting, '([\\\s])', '\\\1', 'g')), ' '))
from pg_settings where source = 'client' and context in ('user', 'backend') and name not in ('client_encoding', 'application_name', 'search_path')
SQL
}

# The app that there is, or whom the database belongs to; nobody when both are superusers or cannot log in.
find_app() {
  query <<'SQL'
select rolname from pg_roles, pg_database
where datname = current_database() and rolcanlogin and not rolsuper and rolname !~ '\n' and rolname in (:'app', pg_get_userbyid(datdba))
order by (rolname = :'app') = (:'give' <> '') desc limit 1
SQL
}

# Who logs in for what a role owns: nobody for a superuser; the app when it has that role's rights, or when he himself
# cannot.
logins() {
  query <<'SQL'
select concat(case when rolsuper then '' when rolcanlogin and not pg_has_role(:'app', oid, 'usage') and :'flags' !~ '--no-owner' then rolname else :'app' end, E'\x01', rolname)
from pg_roles where rolname !~ '\n'
SQL
}

# The parts of the dump: who restores each (.role), and its entries (.list). In an entry the owner stands last; what has
# none, or one that is not here, is the app's. Of the numbers in front one is the catalog: no name can look like it.
split() {
  logins >"$work/logins"
  pg_restore --list "${flags[@]}" "$dump" | awk -v work="$work" -v app="$app" '
    BEGIN { FS = "\001" }
    NR == FNR { login[$2] = $1; next }
    !/^[0-9]/ { next }
    {
      owner = ""
      for (rest = $0; owner == "" && (at = index(rest, " ")); ) { rest = substr(rest, at + 1); if (rest in login) owner = rest }
      by = owner == "" ? app : login[owner]
      if (by == "") part = "superuser"
      else if (by == app) { part = "app"; if (owner != "") owners[owner] }
      else { if (!(by in number)) number[by] = "role" ++roles; part = number[by] }
    }
    /^[0-9]+; (3079 [0-9]+ EXTENSION|0 0 COMMENT - EXTENSION|2615 [0-9]+ SCHEMA|0 0 ACL - SCHEMA) / { part = "superuser" }
    part != "superuser" && /^[0-9]+; 0 0 (ACL|SECURITY LABEL) / || /^[0-9]+; 0 0 COMMENT - (EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|LARGE OBJECT) / { part = "late" }
    /^[0-9]+; (826 [0-9]+ DEFAULT ACL|3466 [0-9]+ EVENT TRIGGER|(6104|6106|6237) [0-9]+ PUBLICATION|6100 [0-9]+ SUBSCRIPTION|(2613|0) [0-9]+ BLOBS?) / { part = "late" }
    { print >(work "/" part ".list") }
    END {
      for (owner in owners) print owner >(work "/owners")
      for (by in number) printf "%s", by >(work "/" number[by] ".role")
    }
  ' "$work/logins" -
}

# The app owns what it restores, so it lacks nothing but what lies around that: rights that it has taken from itself, or
# that somebody has taken from it, would keep its data away. It gets them for as long as it takes.
lend() {
  touch "$work/owners"
  query --set=owners="$(cat "$work/owners")" >"$work/lent" <<'SQL'
create temp table owner as
select rolname, oid from pg_roles where rolname = :'app' or rolname = any (string_to_array(:'owners', E'\n')) and not rolsuper;
create temp table lent as
select format('create on schema %I', nspname) as it, rolname from pg_namespace, owner where nspname !~ '^(pg_|information_schema$)' and not has_schema_privilege(owner.oid, pg_namespace.oid, 'create')
union all
select format('usage on schema %I', nspname), rolname from pg_namespace, owner where nspname !~ '^(pg_|information_schema$)' and not has_schema_privilege(owner.oid, pg_namespace.oid, 'usage')
union all
select format('connect on database %I', datname), :'app' from pg_database where datname = current_database() and not has_database_privilege(:'app', oid, 'connect')
union all
select format('create on tablespace %I', spcname), rolname from pg_tablespace, owner where spcname !~ '^pg_' and not has_tablespace_privilege(owner.oid, pg_tablespace.oid, 'create')
union all
-- A role that only owns: it has no power elsewhere that would be lent with it.
select quote_ident(rolname), :'app' from pg_roles
where oid in (select oid from owner) and not pg_has_role(:'app', oid, 'usage') and not (rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
  and not exists (select from pg_auth_members where member = pg_roles.oid);
select current_setting('server_version_num')::int >= 150000 as knows \gset
\if :knows
insert into lent select 'set on parameter wal_compression', :'app' from pg_settings where name = 'wal_compression' and source = 'client' and not has_parameter_privilege(:'app', name, 'set');
\endif
\o /dev/null
select format('grant %s to %I', it, rolname) from lent \gexec
\o
select format('revoke %s from %I;', it, rolname) from lent;
SQL
  query >"$work/lent-options" <<'SQL'
select current_setting('server_version_num')::int >= 150000 as knows \gset
\if :knows
select '-c wal_compression=' || setting from pg_settings where name = 'wal_compression' and source = 'client';
\endif
SQL
}

take_back() {
  [ -s "$work/lent" ] || return 0
  query <"$work/lent"
  rm "$work/lent"
}

# restore PART [options]: 0 when all came, 1 when something did not, whose entries are in .failed then; any other end of
# pg_restore ends this too.
restore() {
  local it=$work/$1 options=()
  shift
  if [ -f "$it.options" ]; then options=("$(cat "$it.options")"); fi
  : >"$it.ids"
  : >"$it.failed"
  if as "$(cat "$it.role")" pg_restore --verbose "${flags[@]}" "${options[@]}" "$@" "$dump" 2>"$it.errors"; then
    return 0
  fi
  # The lines of several jobs can run into one another, but each part of a line from here on is written at once.
  grep -o 'from TOC entry [0-9]*; [0-9]* [0-9]* ' "$it.errors" | sed 's/^from TOC entry //; s/;.*/;/' |
    sort -u >"$it.ids" || true
  if ! tail -n 1 "$it.errors" | grep -q 'errors ignored on restore' || [ ! -s "$it.ids" ]; then give_up "$it"; fi
  # The entries of the table of contents that failed, in its order. Statistics of what is not there any more (another
  # version of an extension has fewer indexes) are no loss: what lacks some gets them anew.
  pg_restore --list "${flags[@]}" "$dump" |
    awk 'NR == FNR { failed[$1]; next } $1 in failed && !/^[0-9]+; [0-9]+ [0-9]+ STATISTICS DATA /' "$it.ids" \
    - >"$it.failed"
  [ ! -s "$it.failed" ]
}

give_up() {
  {
    sed -n 's/^pg_restore: error: \(could not execute query: \)\?//p' "$1.errors" | head -n 4
    tail -n 1 "$1.errors"
  } >&2
  exit 1
}

# The first tries may have made the object, and failed in what comes after it: its owner, its rights.
why() {
  awk -v id="$2" '
    /^pg_restore: from TOC entry / { here = $5 == id }
    here && sub(/^pg_restore: error: ([^:]*: )?(ERROR:  )?/, "") { if (!/ already exists/) { why = $0; exit } there = $0 }
    END { if (!why) print there; else print (there ? "it is there, but not all of it: " : "") why }
  ' "$1.errors"
}

lose() { printf '%s\001%s\001%s\002' "$@" >>"$work/lost"; }

# lose_failed PART: what failed of it stays away
lose_failed() {
  local it=$work/$1 entry id
  while IFS= read -r entry; do
    id=${entry%% *}
    printf '%s\n' "$entry" >"$work/one"
    # The name without the numbers in front and the owner behind it.
    lose "$(cut -d ' ' -f 4- <<<"$entry" | sed 's/ [^ ]*$//; s/ - / /')" "$(why "$it" "$id")" \
      "$(pg_restore --use-list="$work/one" --file=- "${flags[@]}" "$dump" |
      sed '1,/^-- Name: /d; /^-- PostgreSQL database dump complete/,$d' | grep -vE '^(--)?$')"
  done <"$it.failed"
}

# lift PART checks|generated: takes from the tables whose rows failed, and from those that they inherit from, what may
# keep rows out. `put_back` ends it.
lift() {
  query --set=what="$2" --file=<(cat <<'SQL'
set search_path = '';
set client_min_messages = warning;
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
select removal from found where kind = :'what' \gexec
select concat_ws(E'\x01', kind, object, sql, weaker) || E'\x02' from found where kind = :'what';
SQL
  ) < <(cut -d ' ' -f 6- "$work/$1.failed") >>"$work/$1.lifted"
}

# put_back PART: what was lifted comes back; a check, if not for the rows that are there, at least for those to come. A
# column that was generated stays without its values.
put_back() {
  local role kind object sql weaker error
  role=$(cat "$work/$1.role")
  [ -s "$work/$1.lifted" ] || return 0
  while IFS=$'\001' read -r -d $'\002' kind object sql weaker; do
    kind=${kind#$'\n'}
    if [ "$kind" = generated ]; then
      error='its expression cannot be computed, so it is an ordinary column now, without values'
    elif error=$(attempt "$role" "$sql"); then
      continue
    elif [ -n "${weaker:-}" ] && attempt "$role" "$weaker" >/dev/null; then
      error+='; it holds for new rows'
    fi
    lose "$object" "$error" "$sql"
  done <"$work/$1.lifted"
}

# attempt ROLE COMMAND: runs it, and tells why it failed
attempt() {
  local said
  if said=$(as "$1" psql --no-psqlrc --quiet --command="set client_min_messages = error; set search_path = ''" \
    --command="$2" 2>&1 >/dev/null); then
    return 0
  fi
  sed '1s/^[^:]*:  //; q' <<<"$said"
  return 1
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

# Rows that are tried again find triggers, keys and policies there: none of them looks at these rows. Only a superuser
# could have his sessions go without.
hold_triggers() {
  query >>"$work/held" <<'SQL'
with held as (update pg_trigger it set tgenabled = 'D' from pg_trigger old where old.oid = it.oid and it.tgenabled <> 'D' returning it.oid, old.tgenabled)
select concat_ws(' ', oid, tgenabled) from held;
with held as (update pg_class set relforcerowsecurity = false where relforcerowsecurity returning oid) select concat(oid, ' force') from held;
SQL
}
release_triggers() {
  query --file=<(cat <<'SQL'
create temp table held (id oid, state text);
\copy held from pstdin with (delimiter ' ')
update pg_trigger set tgenabled = state::"char" from held where oid = id and state <> 'force';
update pg_class set relforcerowsecurity = true from held where oid = id and state = 'force';
SQL
  ) <"$work/held"
}

failed() {
  local of=("${parts[@]/#/$work/}")
  cat "${of[@]/%/.failed}"
}
has_failed() { failed | grep -q .; }
has_rows() { failed | grep -q ' TABLE DATA '; }

# Each round tries what failed in the one before; the first one what had to wait for another role.
try_again() {
  local round part
  for round in again path checks generated; do
    case $round in
      again) [ "${#parts[@]}" -gt 1 ] || continue ;;
      path) set_path ;;
      *) has_rows || return 0 ;;
    esac
    hold_triggers
    for part in "${parts[@]}"; do
      [ -s "$work/$part.failed" ] || continue
      case $round in checks | generated) lift "$part" "$round" ;; esac
      cp "$work/$part.failed" "$work/$part.again"
      # One job, so that what is said of an entry stands behind its name.
      restore "$part" --use-list="$work/$part.again" || true
    done
    has_failed || return 0
  done
}

# Tries again what failed. What still does is lost, if it holds no rows.
mend() {
  local part
  try_again
  release_triggers
  for part in "${parts[@]}"; do
    if grep -q ' TABLE DATA ' "$work/$part.failed"; then give_up "$work/$part"; fi
    lose_failed "$part"
    put_back "$part"
  done
  # Statistics of an expression need the same.
  vacuumdb --quiet --analyze-only --dbname="$database" || true
  own_path
}

bring_part() { restore "$1" --jobs="$jobs" --use-list="$work/$1.list"; }

# The app restores the superuser's too that needs something of others: it gets it in any case.
bring_parts() {
  local part
  split
  if ! bring_part superuser; then
    mv "$work/superuser.failed" "$work/given.list"
    echo --no-owner >"$work/given.options"
  fi
  if [ -n "$give" ]; then query --set=ON_ERROR_STOP=0 >/dev/null 2>&1 <<<"$give \\gexec"; fi
  lend
  printf %s "$app" | tee "$work/app.role" >"$work/given.role"
  parts=()
  for part in "$work/app" "$work/given" "$work"/role*.list; do
    part=$(basename "$part" .list)
    [ -s "$work/$part.list" ] || continue
    parts+=("$part")
    bring_part "$part" || true
  done
}

bring_back() {
  parts=(superuser)
  if [ -n "$app" ]; then bring_parts; else restore superuser --jobs="$jobs" || true; fi
  if has_failed; then mend; fi
  take_back
  if [ -s "$work/late.list" ] && ! bring_part late; then lose_failed late; fi
}

printf %s "$superuser" | tee "$work/superuser.role" >"$work/late.role"
touch "$work/superuser.list" "$work/lent-options"
wanted=$app
app=$(find_app)
# Nobody else gets what is a superuser's.
if [ "$app" != "$wanted" ]; then give=''; fi
options >"$work/options"
bring_back
cat "$work/lost"
