# bring_back.sh DATABASE DUMP JOBS SEARCH_PATH APP GIVE [options of pg_restore]: fills an empty database from a dump.
# The data come back, or it ends with 1. Whatever else does not is printed: for each object its name, why, and its SQL,
# with \001 between them and \002 behind. APP is the role that phoenix logs in as; GIVE is empty, or SQL that makes the
# statements which give it what belongs to a superuser.
#
# Who owns a table has the restore call functions of his: in checks, domains, keys of partitions, casts, a constant in a
# view; nobody can list all ways. Whoever restores lends them his rights, and from SET ROLE they find back. So the
# superuser restores what is a superuser's, while nothing of anybody else is there, and nobody else can be; then each of
# the others restores what is his by a login that has his rights alone; and at last the superuser what computes nothing,
# as rights.
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
trap 'end_login || true; take_back || true; rm -rf "$work"' EXIT
: >"$work/lost"
stand_in='avril restores'

query() {
  PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" psql --dbname="$database" --no-psqlrc --quiet --no-align \
    --tuples-only --set=ON_ERROR_STOP=1 --set=path="$path" --set=app="$app" --set=give="${give:+yes}" \
    --set=flags="${flags[*]}" --set=stand_in="$stand_in" "$@"
}

# as ROLE PROGRAM …: by a login that is made for it, and can do what that role can: whether the role itself can log in,
# how often, and what is set for it, does not hold. It gets no connection that is kept for replication.
as() {
  local role=$1 code=0
  shift
  if [ "$role" = "$superuser" ]; then
    "$@" --dbname="$database"
    return
  fi
  make_login "$role" || return
  PGUSER=$stand_in PGOPTIONS="$(cat "$work/options") -c role=$(printf %s "$role" | sed 's/[\\[:space:]]/\\&/g')" "$@" \
    --dbname="${database% replication=database}" || code=$?
  end_login && return "$code"
}

# Without a password it can log in from inside alone, and is nobody else's.
make_login() {
  end_login
  query --set=role="$1" <<'SQL'
create role :"stand_in" login valid until 'epoch' in role :"role";
select format('grant connect, temporary on database %I to %I', current_database(), :'stand_in') \gexec
select current_setting('server_version_num')::int >= 150000 as knows \gset
\if :knows
grant set on parameter wal_compression to :"stand_in";
\endif
SQL
}

end_login() {
  query <<'SQL'
select format(it, :'stand_in') from unnest(array['drop owned by %I cascade', 'drop role %I']) as it where exists (select from pg_roles where rolname = :'stand_in') \gexec
SQL
}

# What the superuser's sessions are opened with, as far as such a login may set it.
options() {
  query <<'SQL'
select concat_ws(' ', '-c role=none', string_agg(format('-c %s=%s', name, regexp_replace(setting, '([\\\s])', '\\\1', 'g')), ' '))
from pg_settings
where source = 'client' and name not in ('client_encoding', 'application_name', 'search_path')
  and (context in ('user', 'backend') or name = 'wal_compression' and current_setting('server_version_num')::int >= 150000)
SQL
}

# Nobody but a superuser, and who is given the right, reaches the database until `open_database`, or can have left
# anything in it: it takes rights and a limit back, and gives it to its owner.
close_database() {
  query >"$work/opening" <<'SQL'
select format('alter database %I owner to %I; update pg_database set (datacl, datconnlimit) = (%L, %s) where datname = %1$L;',
  datname, case when :'give' <> '' and rolsuper then :'app' else rolname end, datacl, datconnlimit)
from pg_database join pg_roles on pg_roles.oid = datdba where datname = current_database();
select format('alter database %I owner to %I', current_database(), current_user) \gexec
update pg_database set datacl = array[makeaclitem(datdba, datdba, 'CREATE', false)], datconnlimit = -1 where datname = current_database();
select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' \g /dev/null
SQL
  [ -z "$(query <<<'select 1 from pg_shdepend where dbid = (select oid from pg_database where datname = current_database()) limit 1')" ] || {
    echo 'pg_restore: error: somebody has written to the database before it was filled' >&2
    exit 1
  }
}
open_database() { query --file="$work/opening"; }

# The app that there is, or whom the database belongs to; nobody when both are superusers.
find_app() {
  query <<'SQL'
select rolname from pg_roles, pg_database
where datname = current_database() and not rolsuper and rolname !~ '\n' and rolname in (:'app', pg_get_userbyid(datdba))
order by (rolname = :'app') = (:'give' <> '') desc limit 1
SQL
}

# Who restores what a role owns: nobody for a superuser; the app when it has that role's rights; else the role. Where
# phoenix is a superuser, nobody for a role that cannot log in, either: nobody can have left code there as that role.
owners() {
  query <<'SQL'
select concat(case when rolsuper or :'app' = '' and not rolcanlogin then '' when pg_has_role(app, pg_roles.oid, 'usage') or :'flags' ~ '--no-owner' then :'app' else rolname end, E'\x01', rolname)
from pg_roles left join (select oid as app from pg_roles where rolname = :'app') as it on true where rolname !~ '\n'
SQL
}

# The parts of the dump: who restores each (.role), and its entries (.list). In an entry the owner stands last; what has
# none, or one that is not here, is the app's. Of the numbers in front one is the catalog: no name can look like it.
split() {
  pg_restore --list "${flags[@]}" "$dump" | awk -v work="$work" -v app="$app" '
    BEGIN { FS = "\001" }
    NR == FNR { role[$2] = $1; next }
    !/^[0-9]/ { next }
    {
      owner = ""
      for (rest = $0; owner == "" && (at = index(rest, " ")); ) { rest = substr(rest, at + 1); if (rest in role) owner = rest }
      by = owner == "" ? app : role[owner]
      if (by == "") part = "superuser"
      else if (by == app) part = "app"
      else { if (!(by in number)) number[by] = "role" ++roles; part = number[by] }
      if (by != "") { print by FS $0 >(work "/needs"); if (owner != "" && owner != by) print owner FS $0 >(work "/needs") }
    }
    /^[0-9]+; (3079 [0-9]+ EXTENSION|0 0 COMMENT - EXTENSION|2615 [0-9]+ SCHEMA|0 0 ACL - SCHEMA|1417 [0-9]+ SERVER|0 0 USER MAPPING) / { part = "superuser" }
    part != "superuser" && /^[0-9]+; 0 0 ACL / { part = "rights" }
    part != "superuser" && /^[0-9]+; 0 0 SECURITY LABEL / || /^[0-9]+; 0 0 COMMENT - (EVENT TRIGGER|PUBLICATION|SUBSCRIPTION) / { part = "late" }
    /^[0-9]+; (826 [0-9]+ DEFAULT ACL|3466 [0-9]+ EVENT TRIGGER|(6104|6106|6237) [0-9]+ PUBLICATION|6100 [0-9]+ SUBSCRIPTION|(2613|0) [0-9]+ BLOBS?) / { part = "late" }
    /^[0-9]+; 0 0 (ACL|COMMENT|SECURITY LABEL) - LARGE OBJECTS? / { part = "late" }
    { print >(work "/" part ".list") }
    END { for (by in number) printf "%s", by >(work "/" number[by] ".role") }
  ' "$work/owners" -
}

# Who restores owns it, so he lacks nothing but what lies around that, or what has been taken from him: rights to the
# schema that it is in, to a tablespace, to what he owns. He gets them for as long as it takes. In an entry the schema
# stands behind the type; of two schemas that fit one has the whole name.
lend() {
  awk '
    BEGIN { FS = OFS = "\001" }
    sub(/^[0-9]+; (1259 [0-9]+ (TABLE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|SEQUENCE|INDEX)|1255 [0-9]+ (FUNCTION|PROCEDURE|AGGREGATE)|1247 [0-9]+ (TYPE|SHELL TYPE|DOMAIN)|2617 [0-9]+ OPERATOR|2616 [0-9]+ OPERATOR CLASS|2753 [0-9]+ OPERATOR FAMILY|3456 [0-9]+ COLLATION|2607 [0-9]+ CONVERSION|3600 [0-9]+ TEXT SEARCH DICTIONARY|3602 [0-9]+ TEXT SEARCH CONFIGURATION|3381 [0-9]+ STATISTICS) /, "", $2)
  ' "$work/needs" >"$work/places"
  query --file=<(cat <<'SQL'
create temp table needed (role text, place text);
\copy needed from pstdin with (format csv, delimiter E'\x01', quote E'\x02')
create temp table owner as select oid, rolname from pg_roles where rolname in (select role from needed);
create temp table place as
select distinct role, (select nspname from pg_namespace where starts_with(place, nspname || ' ') order by length(nspname) desc limit 1) as schema from needed;
create temp table lent as
select format('%s on schema %I', it, schema) as it, role from place, unnest(array['create', 'usage']) as it where not has_schema_privilege(role, schema, it)
union all
select format('create on tablespace %I', spcname), rolname from pg_tablespace, owner where spcname !~ '^pg_' and not has_tablespace_privilege(owner.oid, pg_tablespace.oid, 'create')
union all
select format('%s on %s', privilege_type, object), rolname
from (
  select relowner as owner, relacl as acl, case relkind when 'S' then 's' else 'r' end as kind, format(case relkind when 'S' then 'sequence %s' else 'table %s' end, oid::regclass) as object
  from pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union all select proowner, proacl, 'f', format('routine %s', oid::regprocedure) from pg_proc
  union all select typowner, typacl, 'T', format('type %s', oid::regtype) from pg_type
) as it join owner on owner.oid = it.owner, aclexplode(acldefault(kind::"char", it.owner))
where grantee = it.owner and acl is not null and (grantee, privilege_type) not in (select grantee, privilege_type from aclexplode(acl));
\o /dev/null
select format('grant %s to %I', it, role) from lent \gexec
\o
select format('revoke %s from %I;', it, role) from lent;
SQL
  ) <"$work/places" >>"$work/lent"
}

take_back() {
  [ -s "$work/lent" ] || return 0
  query --set=ON_ERROR_STOP=0 <"$work/lent"
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
  cat /dev/null "${of[@]/%/.failed}"
}
has_failed() { failed | grep -q .; }
has_rows() { failed | grep -q ' TABLE DATA '; }

# Each round tries what failed in the one before; the first one what had to wait for another role, or for a right to
# what is his.
try_again() {
  local round part
  for round in again path checks generated; do
    case $round in
      again)
        [ "${#parts[@]}" -gt 1 ] || continue
        bring_part rights || true
        lend
        ;;
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

# Tries again what failed. What still does is lost, if it holds no rows. Casts have no owner, and call nothing.
mend() {
  local part cast='^[0-9]+; 2605 [0-9]+ CAST '
  try_again
  release_triggers
  for part in "${parts[@]}"; do
    grep -E "$cast" "$work/$part.failed" >>"$work/late.list" || true
    sed -i -E "/$cast/d" "$work/$part.failed"
    if grep -q ' TABLE DATA ' "$work/$part.failed"; then give_up "$work/$part"; fi
    lose_failed "$part"
    put_back "$part"
  done
  # Statistics of an expression need the same.
  vacuumdb --quiet --analyze-only --dbname="$database" || true
  own_path
}

bring_part() { restore "$1" --jobs="$jobs" --use-list="$work/$1.list"; }

# The app restores the superuser's too that needs something of others: it gets it in any case. Where there is no app,
# phoenix is a superuser.
bring_parts() {
  local part
  bring_part superuser || true
  if [ -n "$app" ]; then
    mv "$work/superuser.failed" "$work/given.list"
    echo --no-owner >"$work/given.options"
    app=$app awk '{ print ENVIRON["app"] "\001" $0 }' "$work/given.list" >>"$work/needs"
    if [ -n "$give" ]; then
      query --set=ON_ERROR_STOP=0 >/dev/null 2>&1 <<<"select * from ($give) as it (command) where not starts_with(command, 'alter database ') \\gexec"
    fi
    parts=()
  else
    parts=(superuser)
  fi
  lend
  for part in "$work/app" "$work/given" "$work"/role*.list; do
    part=$(basename "$part" .list)
    [ -s "$work/$part.list" ] || continue
    parts+=("$part")
    bring_part "$part" || true
  done
}

bring_late() {
  if [ -s "$work/$1.list" ] && ! bring_part "$1"; then lose_failed "$1"; fi
}

bring_back() {
  parts=()
  bring_parts
  if has_failed; then mend; fi
  bring_late rights
  take_back
  open_database
  bring_late late
}

wanted=$app
app=$(find_app)
# Nobody else gets what is a superuser's.
if [ "$app" != "$wanted" ]; then give=''; fi
printf %s "$superuser" | tee "$work/superuser.role" "$work/rights.role" >"$work/late.role"
printf %s "$app" | tee "$work/app.role" >"$work/given.role"
touch "$work"/{superuser,rights}.list "$work"/{needs,lent}
owners >"$work/owners"
end_login
close_database
options >"$work/options"
split
bring_back
cat "$work/lost"
