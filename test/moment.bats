#!/usr/bin/env bats
# A moment of the past, brought back from bases and the log on a real server.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
# Texts in SQL.
# shellcheck disable=SC2016
load helpers/site
load helpers/archive

setup_file() {
  export SETS=$BATS_FILE_TMPDIR/sets KEPT=$BATS_FILE_TMPDIR/kept
  mkdir -p "$SETS" "$KEPT"
  site_up avril-test-moment 18479 "BACKUP_DIR=$SETS"
  db <<'END'
create table meetings (id int primary key, place text not null, at timestamptz not null default now());
insert into meetings select i, 'room ' || i from generate_series(1, 1000) i;
END
  now >"$KEPT/before"
  archive_start
  archive_base full
  db -c 'insert into meetings select i, $$hall $$ || i from generate_series(1001, 1500) i'
  archive_base incremental >"$KEPT/base"
  db -c 'update meetings set place = $$roof$$ where id = 1'
  now >"$KEPT/good"
  db -c 'delete from meetings where id <= 700'
}
teardown_file() { site_down; }

# What a test that failed half-way has put aside.
teardown() {
  load_abandon
  in_wal sh -c '[ ! -d /wal/hidden ] || { mv /wal/hidden/* /wal/base/; rmdir /wal/hidden; }' || true
}

db() { docker exec --interactive "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U avril -d avril "$@" 3>&-; }
restore() { script backup_restore "$@" </dev/null; }
moment_of() { cat "$KEPT/$1"; }
count() { db -c 'select count(*) from meetings'; }

# The server's time, between two transactions.
now() {
  db -c "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') from pg_sleep(0.01)"
  db -c 'select pg_sleep(0.01)'
}

assert_nothing_left() {
  assert_equal "$(docker ps --all --quiet --filter "label=avril.moment=$STACK")" ''
  run -0 find "$SITE/db/dumps" -name '.restoring-*'
  assert_output ''
  run -0 db -c "select datname from pg_database where datname ~ 'restoring'"
  assert_output ''
}

@test "--at: the plan names the last transaction that is kept and the first that is dropped; back to it, and --undo" {
  local good
  good=$(moment_of good)
  run -0 --separate-stderr restore --at "$good" --dry-run
  assert_line --regexp '^moment +20.* \(Paris, UTC\+0[12]:00\), recovered in'
  assert_line --regexp '^last kept +the transaction that was committed at 20'
  assert_line --regexp '^dropped +from transaction [0-9]+ on, which was committed at 20'
  assert_line --partial 'public.meetings: 800 → 1,500'
  assert_equal "$(count)" 800
  assert_nothing_left

  run -0 --separate-stderr restore --at "$good" --yes --json
  assert_equal "$(count)" 1500
  assert_equal "$(db -c 'select place from meetings where id = 1')" roof
  run -0 greeting avril
  assert_nothing_left
  db -c 'insert into meetings values (2000, $$after the restore$$)'
  now >"$KEPT/restored"
  db -c 'update meetings set place = $$elsewhere$$'
  restore --undo --yes
  assert_equal "$(count)" 800
}

# The test before has renamed databases in the middle of the window.
# bats test_tags=long
@test "moments before and after a restore by rename, and a place of the log" {
  run -0 restore --at "$(moment_of restored)" --into after_the_rename
  assert_equal "$(db -d after_the_rename \
    -c "select count(*), max(id), count(*) filter (where place = 'elsewhere') from meetings")" '1501|2000|0'
  run -0 restore --at "$(moment_of good)" --into before_the_rename
  assert_equal "$(db -d before_the_rename -c 'select count(*), max(id) from meetings')" '1500|1500'
  local lsn
  lsn=$(db -c "select pg_create_restore_point('here')")
  db -c 'delete from meetings'
  run -0 --separate-stderr restore --at "$lsn" --dry-run
  assert_line --regexp '^dropped +from transaction [0-9]+ on'
  assert_line --partial 'public.meetings: 0 → 800'
  restore --at "$lsn" --yes
  assert_equal "$(count)" 800
  db -c 'drop database after_the_rename' -c 'drop database before_the_rename'
}

@test "--before-deploy: two deploys of one commit have a restore point each; without a server to leave one at no deploy fails" {
  local sha lsn
  sha=$(commit avril 'MIGRATION=sql:delete from meetings where id % 2 = 0')
  deploy --probation 0 avril
  assert_equal "$(count)" 400
  db -c 'insert into meetings values (5000, $$between$$)'
  lsn=$(last_deploy restorePoint.lsn)
  deploy --probation 0 avril
  assert_equal "$(count)" 400
  refute [ "$(last_deploy restorePoint.lsn)" = "$lsn" ]
  assert_regex "$(last_deploy restorePoint.name)" '^deploy phoenix-20'

  run -0 restore --before-deploy --dry-run
  assert_line --regexp "^moment +before the deploy of avril ${sha:0:12}.* at 20.*, recovered in"
  assert_line --partial 'public.meetings: 400 → 401'
  run -0 restore --before-deploy "${sha:0:8}" --dry-run
  assert_output --partial "it was deployed before, too: avril ${sha:0:12}"
  assert_output --partial "--at $lsn"
  run -64 restore --before-deploy abcdef --dry-run
  assert_output --partial 'hint: nothing was touched; there are: avril'
  restore --at "$lsn" --yes
  assert_equal "$(count)" 800

  commit avril >/dev/null
  db -d postgres -c 'alter function pg_create_restore_point rename to hidden'
  run -0 deploy --probation 0 avril
  db -d postgres -c 'alter function hidden rename to pg_create_restore_point'
  assert_output --partial 'no restore point was left'
  assert_equal "$(last_deploy restorePoint)" undefined
}

# until_data STEP: starts a rollback with its data in the background, as DEPLOY, and waits until it enters the step
until_data() {
  : >"$BATS_TEST_TMPDIR/err"
  exec_script deploy_local --rollback --with-data \
    --yes avril </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" "^→ $1"
}
has_column() {
  db -c "select count(*) from information_schema.columns where table_name = 'meetings' and column_name = 'since'"
}

@test "--rollback --with-data: code and data go back together; it fails, or is killed: both stay" {
  have_patience
  local before
  commit avril GREETING=old >/dev/null
  deploy --probation 0 avril
  before=$(count)
  commit avril GREETING=new 'MIGRATION=sql:alter table meetings add column since text' >/dev/null
  deploy --probation 0 avril
  db -c 'insert into meetings select i, $$since$$ from generate_series(8001, 8003) i'

  run -64 script deploy_local --with-data avril
  run -64 script deploy_local --rollback --with-data avril </dev/null
  assert_output --partial 'replacing avril needs a yes'
  assert_line --regexp '^release +avril: .* → '
  assert_line --regexp '^leaving +[0-9]+ rows written since leave the live database, and stay in avril_before_'
  assert_line --partial 'public.meetings: 3'
  assert_equal "$(greeting avril) $(has_column)" 'new 1'

  run -1 script deploy_local --rollback --with-data --yes --timeout 1 avril </dev/null
  assert_output --partial 'the data come back, too'
  assert_equal "$(greeting avril) $(has_column) $(count)" "new 1 $((before + 3))"

  until_data start
  assert_equal "$(has_column)" 0
  kill -9 "$DEPLOY"
  wait "$DEPLOY" 2>/dev/null || true
  run -0 deploy --if-change avril-profil
  assert_output --partial 'the data come back, too'
  assert_equal "$(greeting avril) $(has_column) $(count)" "new 1 $((before + 3))"
  assert_in_order phoenix

  run -0 script deploy_local --rollback --with-data --yes avril </dev/null
  assert_equal "$(greeting avril) $(has_column) $(count)" "old 0 $before"
  assert_equal "$(last_deploy rollback) $(last_deploy former)" \
    "true $(db -c "select max(datname) from pg_database where datname like 'avril_before_%'")"
  assert_in_order phoenix
  assert_nothing_left
  restore --undo --yes
  assert_equal "$(has_column) $(count)" "1 $((before + 3))"
  db -c 'delete from meetings where id > 8000' -c 'alter table meetings drop column since'
}

@test "a moment that is not there is refused with those that there are: 64, and 65 in a hole of the log" {
  local time words
  while IFS='|' read -r time words; do
    run -64 restore --at "$time" --yes
    assert_output --partial "$words"
  done <<END
$(moment_of before)|before the first moment that can be brought back
2999-01-01 12:00|still to come
2025-10-26 02:30|twice
yesterday|is not a moment
FFFF/0; drop|is not a moment
FFFF/0|is still to come: the server is at
END
  run -64 restore --at "$(moment_of before)" --yes
  assert_output --regexp 'hint: nothing was touched; there is any moment from 20.* \(Paris, UTC.*\) to now'
  run -64 restore --at '-0s' latest
  run -64 restore --at '-1min' --undo

  local hidden volumes
  volumes=$(volume_count)
  hidden=$(db -c 'select pg_walfile_name(pg_switch_wal())')
  db -c 'insert into meetings values (3000, $$beyond$$)'
  now >"$KEPT/beyond"
  db -c 'select pg_switch_wal()' -c 'select pg_current_xact_id()' >/dev/null
  until in_wal test -e "/wal/segments/$hidden"; do sleep 0.1; done
  in_wal mv "/wal/segments/$hidden" "/wal/base/$hidden"
  run -65 restore --whole-server --at "$(moment_of beyond)" --yes
  assert_whole_is_in_order "$volumes"
  run -65 restore --at "$(moment_of beyond)" --yes
  assert_output --partial 'the archive has a hole between'
  assert_output --regexp 'hint: nothing was touched; there is any moment from 20.* to 20'
  in_wal mv "/wal/base/$hidden" "/wal/segments/$hidden"
  run -0 restore --at "$(moment_of beyond)" --dry-run
  assert_nothing_left
}

@test "psql --at: that moment, read only, in a server that is gone when psql ends; the audit log tells it" {
  run -0 --separate-stderr script psql --at "$(moment_of good)" -tAc 'select count(*) from meetings'
  assert_output 1500
  run -1 script psql --at "$(moment_of good)" -c 'delete from meetings'
  assert_output --partial 'read-only transaction'
  assert_nothing_left
  run -0 node -p 'const it = JSON.parse(require("fs").readFileSync(0, "utf8").trim().split("\n").at(-1)); [it.what, it.at, it.readOnly].join()' <"$SITE/.state/audit.jsonl"
  assert_output "psql,$(moment_of good),true"
  run -64 script psql --at "$(moment_of before)" -c 'select 1'
  run -64 script psql --at 14:32 --set avril
  # psql's own option of that name.
  run -0 script psql --set x=7 -tA <<<"select :x"
  assert_output 7

  exec_script psql --at "$(moment_of good)" -c 'select pg_sleep(600)' >/dev/null 2>&1 </dev/null &
  local pid=$! id
  until id=$(docker ps --quiet --filter "label=avril.moment=$STACK") && [ -n "$id" ] &&
    docker exec "$id" psql -XqAt -U avril -d avril -c 'select query from pg_stat_activity' 2>/dev/null 3>&- |
    grep -q 600; do
    sleep 0.2
  done
  kill -9 "$pid"
  docker wait "$id" >/dev/null 2>&1 || true
  until [ -z "$(docker ps --all --quiet --filter "id=$id")" ]; do sleep 0.1; done
  assert_nothing_left
}

@test "a moment that is no longer beside the database comes from BACKUP_DIR: with its key, and no other" {
  age-keygen --output "$BATS_TEST_TMPDIR/key" 2>/dev/null
  age-keygen --output "$BATS_TEST_TMPDIR/wrong" 2>/dev/null
  echo "BACKUP_RECIPIENTS=$(age-keygen -y "$BATS_TEST_TMPDIR/key")" >>"$SITE/.env"
  script backup >/dev/null
  script backup --ship
  sed -i '/^BACKUP_RECIPIENTS=/d' "$SITE/.env"
  in_wal sh -c 'mkdir /wal/hidden && mv /wal/base/2* /wal/hidden/'
  run -64 restore --at "$(moment_of good)" --dry-run
  assert_output --partial '--key'
  run -65 restore --at "$(moment_of good)" --key "$BATS_TEST_TMPDIR/wrong" --dry-run
  # The last moment of all that is there, of the whole server.
  run -64 restore --whole-server --dry-run
  assert_output --partial '--key'
  run -0 restore --whole-server --key "$BATS_TEST_TMPDIR/key" --dry-run
  assert_line --regexp '^by +the base 20'
  run -0 --separate-stderr script psql --at "$(moment_of good)" --key "$BATS_TEST_TMPDIR/key" \
    -tAc 'select count(*) from meetings'
  in_wal sh -c 'mv /wal/hidden/* /wal/base/ && rmdir /wal/hidden'
  assert_output 1500
  assert_nothing_left
  run -0 find "$SITE/db" -maxdepth 1 -name '.staged*'
  assert_output ''
}

new_set() { script backup --json 2>/dev/null | node -p 'JSON.parse(require("fs").readFileSync(0)).name'; }

@test "psql --set: a backup set, encrypted too; a wrong key is refused" {
  local before set
  before=$(count)
  set=$(new_set)
  db -c 'insert into meetings values (7000, $$since$$)'
  run -0 --separate-stderr script psql --set "$set" -tAc 'select count(*) from meetings'
  assert_output "$before"
  age-keygen --output "$KEPT/key" 2>/dev/null
  age-keygen --output "$KEPT/wrong" 2>/dev/null
  echo "BACKUP_RECIPIENTS=$(age-keygen -y "$KEPT/key")" >>"$SITE/.env"
  set=$(new_set)
  sed -i '/^BACKUP_RECIPIENTS=/d' "$SITE/.env"
  rm "$SITE"/db/dumps/latest*
  run -64 script psql --set "$set" -c 'select 1'
  assert_output --partial '--key FILE'
  run -65 script psql --set "$set" --key "$KEPT/wrong" -c 'select 1'
  run -0 --separate-stderr script psql --set "$set" --key "$KEPT/key" -tAc 'select count(*) from meetings'
  assert_output "$((before + 1))"
  db -c 'delete from meetings where id = 7000'
  assert_nothing_left
}

# A table with most of what makes a row hard to write again, and one that refers to it.
people() {
  db <<'END'
create schema if not exists app;
create table app.people (id int generated always as identity primary key, name text not null, shout text generated always as (upper(name)) stored,
  tags text[], doc json, raw bytea, span interval, "Odd ""col" numeric(8,2), code char(5) not null default 'ab cd', flags bit(4) not null default '1010',
  at timestamptz not null default now());
create function format(text, text, name, text, name, text, text, text, text) returns text language sql as $$ select 'taken for that of PostgreSQL' $$;
create table app.visits (id int primary key, person int not null references app.people deferrable initially deferred);
create table app.told (what text);
create function app.tell() returns trigger language plpgsql as $$ begin insert into app.told values (tg_op || new.id); new.at := clock_timestamp(); return new; end $$;
create trigger tell before insert or update on app.people for each row execute function app.tell();
insert into app.people (name, tags, doc, raw, span, "Odd ""col") select E'p\n\\' || i, array['a', 'b "c"', null], '{"x": [1, null]}', '\xdeadbeef', '1 day 2 hours', 1.5 from generate_series(1, 50) i;
insert into app.visits select i, i from generate_series(1, 50) i;
END
  now >"$KEPT/people"
  db -c 'delete from app.visits where id in (3, 4)' -c 'delete from app.people where id in (3, 4)' \
    -c 'update app.people set name = $$changed$$, code = $$e$$, flags = $$0000$$ where id = 5' -c 'truncate app.told'
}
people_text() {
  db -c 'select id, name, shout, tags, doc, raw, span, "Odd ""col", code, flags from app.people where id < 7 order by id'
}
last_undo() { find "$SITE/.state" -name 'rows-*' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-; }

@test "--tables lays tables of then beside the live ones; --rows puts rows back, in one transaction, with a file to undo it" {
  people
  local at rows stamp file
  at=$(moment_of people)
  stamp=$(tr -d ':-' <<<"${at%.*}z" | tr T t)
  run -0 restore --tables meetings,app.visits --at "$at"
  assert_output --partial "app.visits_at_$stamp: 50 rows of app.visits, which has 48 now"
  assert_equal "$(db -c "select count(*) from app.visits_at_$stamp")" 50
  assert_equal "$(db -c "select count(*) from pg_constraint where conrelid = 'app.visits_at_$stamp'::regclass and contype <> 'n'")" 0
  run -64 restore --tables app.visits --at "$at"
  assert_output --partial "there is a table app.visits_at_$stamp already"
  run -64 restore --tables nothing --at "$at"
  assert_output --regexp 'hint: nothing was touched; there are: app.people, '
  db -c "drop table app.visits_at_$stamp, meetings_at_$stamp"

  # The row that it refers to is missing.
  run -65 restore --tables app.visits --rows 'where id = 3' --at "$at" --yes
  assert_output --partial 'Key (person)=(3) is not present'
  rows='where id between 3 and 6 -- a comment'
  people_text >"$KEPT/now"
  run -0 restore --tables app.people --rows "$rows" --at "$at" --dry-run
  assert_line --regexp '^insert +id 3$'
  assert_line --regexp '^change +id 5: name: "changed" → "p\\n'
  assert_line --regexp '^unchanged +1 row'
  assert_line --regexp '^runs +the triggers tell'
  assert_equal "$(people_text)" "$(cat "$KEPT/now")"
  run -64 restore --tables app.people --rows "$rows" --at "$at"
  assert_output --partial 'changing rows needs a yes'
  restore --tables app.people --rows "$rows" --at "$at" --yes
  file=$(last_undo)
  assert_equal "$(db -c "select count(*), count(*) filter (where name ~ '^p' and shout = upper(name) and code = 'ab cd' and flags = '1010') from app.people")" '50|50'
  assert_equal "$(db -c 'select string_agg(what, $$ $$ order by what) from app.told')" 'INSERT3 INSERT4 INSERT5 UPDATE5'
  assert_equal "$(stat -c %a "$file")" 600
  run -0 restore --tables app.visits --rows 'WHERE id in (3, 4, 5)' --at "$at" --yes

  run -65 restore --undo-rows "$file" --yes
  assert_output --partial 'is still referenced'
  restore --undo-rows "$(find "$SITE/.state" -name 'rows-app.visits-*')" --yes
  restore --undo-rows "$file" --yes
  assert_equal "$(people_text)" "$(cat "$KEPT/now")"
}

# It fails where a superuser runs it, or could again; in a throw-away server, which sends no WAL, it may.
hostile_table() {
  db <<'END'
create role avril_app login;
create schema theirs authorization avril_app;
END
  db -U avril_app <<'END'
create table theirs.seen (who text);
create function theirs.spy() returns boolean language plpgsql as $$ begin
  begin execute 'reset role'; execute 'reset session authorization'; exception when others then null; end;
  if (select rolsuper from pg_roles where rolname = current_user) and current_setting('max_wal_senders') <> '0' then raise exception 'the application is a superuser'; end if;
  return true;
end $$;
create function theirs.note() returns trigger language plpgsql as $$ begin perform theirs.spy(); insert into theirs.seen values (current_user); return new; end $$;
create domain theirs.word as text check (theirs.spy());
create type theirs.pair as (a int, b int);
create function theirs.said(theirs.pair) returns text language plpgsql as $$ begin perform theirs.spy(); return '(1,2)'; end $$;
create cast (theirs.pair as text) with function theirs.said(theirs.pair);
create table theirs.things (id int primary key, word theirs.word, pair theirs.pair);
insert into theirs.things select i, 'word', '(1,2)' from generate_series(1, 5) i;
END
  now >"$KEPT/hostile"
  db -U avril_app <<'END'
delete from theirs.things where id = 3;
alter table theirs.things add column later boolean default theirs.spy(), add check (theirs.spy());
create trigger note before insert on theirs.things for each row execute function theirs.note();
END
}

@test "--rows and --tables: what the application has laid into a table runs with its rights, and gets no others" {
  hostile_table
  local at
  at=$(moment_of hostile)
  optional POSTGRES_APP_USER=avril_app
  optional POSTGRES_APP_PASSWORD=secret
  run -0 restore --tables theirs.things --rows 'where id = 3' --at "$at" --yes
  assert_output --partial 'the triggers note, with the rights of avril_app'
  assert_equal "$(db -c 'select id, later, who from theirs.things, theirs.seen where id = 3')" '3|t|avril_app'
  run -0 restore --undo-rows "$(last_undo)" --yes
  run -0 restore --tables theirs.things --at "$at"
  assert_equal "$(db -c "select count(*), min(tableowner) from theirs.things_at_$(tr -d ':-' <<<"${at%.*}z" |
    tr T t), pg_tables where tablename = 'things'")" '5|avril_app'
  # What is a superuser's own is not written to in his name either.
  run -65 restore --tables meetings --rows 'where id <= 700' --at "$(moment_of good)" --yes
  assert_output --partial 'avril_app writes them'
  db -c 'drop schema theirs cascade'
  sed -i '/^POSTGRES_APP_/d' "$SITE/.env"
}

# bats test_tags=long
@test "--rows: what a clause can do it does in the throw-away server, and rows that changed since are not undone" {
  local at file clause
  at=$(moment_of people)
  while IFS= read -r clause; do
    run restore --tables meetings --rows "$clause" --at "$at" --yes
    refute [ "$status" = 0 ]
    assert_output --partial 'hint: '
  done <<'END'
where id = 1; drop table meetings
where true) as it; commit; drop table meetings; select * from (select 1
where id = 1 \! touch /tmp/x
where false
id = 1
END
  assert_equal "$(db -c "select count(*) > 0 from meetings")" t
  db -c 'update app.people set name = $$again$$ where id = 5'
  restore --tables app.people --rows 'where id = 5' --at "$at" --yes
  file=$(last_undo)
  db -c 'update app.people set name = $$once more$$ where id = 5'
  run -65 restore --undo-rows "$file" --yes
  assert_output --partial '1 of the rows of app.people were changed since: id 5'
  db -c 'alter table app.people disable trigger tell' -c 'update app.people set name = $$again$$ where id = 5'
  restore --tables app.people --rows 'where id = 5' --at "$at" --yes
  restore --undo-rows "$(last_undo)" --yes
  assert_equal "$(db -c 'select name from app.people where id = 5')" again
  printf '{"version": 1}' >"$BATS_TEST_TMPDIR/odd.json"
  run -65 restore --undo-rows "$BATS_TEST_TMPDIR/odd.json" --yes
  run -64 restore --undo-rows "$BATS_TEST_TMPDIR/nothing.json" --yes
  assert_nothing_left
}

@test "a base that is damaged is said, and nothing is touched (65)" {
  local base
  base=/wal/base/$(moment_of base)
  in_wal cp "$base/base.tar.zst" /wal/base/kept.zst
  in_wal truncate --size=-100 "$base/base.tar.zst"
  run -65 restore --at "$(moment_of good)" --yes
  assert_output --regexp 'error: the base .* cannot be unpacked: it is damaged'
  in_wal mv /wal/base/kept.zst "$base/base.tar.zst"
  assert_nothing_left
}

# bats test_tags=long
@test "killed at each step: the live database is as it was, and the next run clears up" {
  local step options words before
  before=$(count)
  while IFS='|' read -r step options; do
    read -ra words <<<"$options"
    restore_until "$step" --at "$(moment_of good)" "${words[@]}"
    kill -9 "$RESTORE"
    wait "$RESTORE" 2>/dev/null || true
    assert_equal "$(count)" "$before"
    run -0 restore --at "$(moment_of good)" --dry-run
    assert_nothing_left
  done <<'END'
→ recover|
  combining|
  replaying|
→ dump|
→ prove|
→ restore|
→ dump|--tables meetings
→ restore|--tables meetings
END
  # The rows are all back, and there is a file to undo it, or none is.
  restore_until '→ rows' --at "$(moment_of good)" --tables meetings --rows 'where id <= 700'
  kill -9 "$RESTORE"
  wait "$RESTORE" 2>/dev/null || true
  until [ "$(db -c "select count(*) from pg_stat_activity where query ~ 'avril_wanted'  and pid <> pg_backend_pid()")" \
    = 0 ]; do
    sleep 0.1
  done
  run -0 db -c 'select count(*) from meetings where id <= 700'
  assert_regex "$output" '^(0|700)$'
  [ "$output" = 0 ] || assert [ -s "$(last_undo)" ]
  db -c 'delete from meetings where id <= 700'
}

@test "postgres is stopped: the newest moment that the archive has" {
  local before
  before=$(count)
  now >"$KEPT/last"
  compose stop --timeout 20 postgres
  run -0 restore --at "$(moment_of last)" --yes
  assert_output --partial 'the archive ends before: all of it is kept'
  assert_equal "$(count)" "$before"
  run -0 greeting avril
}

live_volume() {
  docker inspect --format '{{range .Mounts}}{{if eq .Destination "/var/lib/postgresql"}}{{.Name}}{{end}}{{end}}' \
    "$STACK-postgres-1"
}
# in_volume VOLUME SCRIPT: by root in a container of its own
in_volume() {
  docker run --rm --network none --user root --entrypoint bash --volume "$1:/v" postgis/postgis:18-3.6 -c "$2" 3>&-
}
# The volumes of the server, without what a restore has left behind.
assert_whole_is_in_order() {
  assert_equal "$(docker ps --all --quiet --filter "label=avril.moment=$STACK")" ''
  run -0 cat "$SITE/.state/postgres_upgrade.json"
  refute_output --partial under_way
  assert_equal "$(docker volume ls --quiet --filter "name=${STACK}_postgres" | wc -l)" "$1"
  assert [ ! -e "$SITE/.env.next" ]
  assert_compose_agrees postgres
  run -0 greeting avril
}
# When all that was committed is received.
await_received() {
  timeout 60 bash -c 'until [ "$(docker exec "$0-postgres-1" psql -XqAt -U avril -d avril -c "select coalesce(bool_or(flush_lsn >= pg_current_wal_flush_lsn()), false) from pg_stat_replication")" = t ]; do sleep 0.1; done' "$STACK" 3>&-
}

@test "--whole-server: the data folder is destroyed, and all that was committed is back, with its roles; --undo goes back to what was left" {
  local former new
  former=$(live_volume)
  db -c "create role of_then login password 'of-then'" -c "alter role avril password 'another'" \
    -c 'create database elsewhere'
  db -d elsewhere -c 'create table kept as select generate_series(1, 7) as n'
  db -c 'create table last_words as select generate_series(1, 123) as n'
  # Since the base: as many as the recovered server must have room for.
  db -c 'alter system set max_prepared_transactions = 2'
  compose restart --timeout 20 postgres
  compose up --detach --wait postgres
  db -c 'begin' -c 'insert into last_words values (0)' -c "prepare transaction 'half'"
  await_received
  docker kill "$STACK-postgres-1"
  in_volume "$former" 'cd /v/18/docker && rm -r global pg_xact && ln -s /etc pg_xact && chown -R 4711 base'
  docker start "$STACK-postgres-1"

  run -0 --separate-stderr restore --whole-server --dry-run
  assert_line --regexp '^rows now +cannot be told: the server does not answer'
  assert_line --regexp '^databases +.*elsewhere'
  assert_line --regexp '^roles .*of_then'
  assert_equal "$(live_volume)" "$former"

  run -0 --separate-stderr restore --whole-server --yes --json
  assert_equal "$(node -p 'const it = JSON.parse(process.argv[1]); [it.result, it.kept, String(it.trouble)].join(" ")' \
    "$output")" "restored $former null"
  new=$(live_volume)
  refute [ "$new" = "$former" ]
  assert_equal "$(db -c 'select count(*) from last_words') $(db -d elsewhere -c 'select count(*) from kept')" '123 7'
  run -0 db -d postgres -c "select rolname from pg_roles where rolname = 'of_then'"
  assert_output of_then
  db -c "commit prepared 'half'"
  assert_equal "$(db -c 'select count(*) from last_words')" 124
  # phoenix logs in with the password of .env.
  assert_whole_is_in_order 2
  run -0 in_volume "$former" 'readlink /v/18/docker/pg_xact; stat --format=%u /v/18/docker/base'
  assert_output "/etc
4711"

  # The archive has begun anew, and what it had before is reached all the same.
  now >"$KEPT/whole"
  db -c 'drop table last_words'
  run -0 --separate-stderr restore --at "$(moment_of whole)" --dry-run
  assert_line --regexp 'last_words: .*123|^rows after'
  run -0 restore --at "$(moment_of good)" --into of_before
  assert_equal "$(db -d of_before -c 'select count(*) from meetings')" 1500
  db -c 'drop database of_before'

  # What is left of the former one does not start: it is exchanged back by itself.
  run -1 restore --whole-server --undo --yes
  assert_output --partial 'did not start'
  assert_equal "$(live_volume)" "$new"
  assert_whole_is_in_order 2
}

volume_count() { docker volume ls --quiet --filter "name=${STACK}_postgres" | wc -l; }
# killed_whole STEP COMMAND …: kills a restore of the whole server in a step, once a command has come to its end
killed_whole() {
  local step=$1
  shift
  restore_until "$step" --whole-server
  "$@"
  kill -9 "$RESTORE"
  wait "$RESTORE" 2>/dev/null || true
}
await_stopped() { timeout 120 docker wait "$STACK-postgres-1" >/dev/null 3>&-; }

@test "--whole-server, killed: before the exchange the former server goes on, in it and after it the next run brings it to its end; --undo and its redo" {
  local rows volumes former
  volumes=$(volume_count)
  former=$(live_volume)
  rows=$(count)
  killed_whole '→ finish' true
  assert_equal "$(count) $(live_volume)" "$rows $former"
  run -0 --separate-stderr restore --whole-server --dry-run
  assert_line --regexp '^lost to +the site'
  assert_whole_is_in_order "$volumes"

  killed_whole '→ switch' await_stopped
  run -0 restore --whole-server --yes
  assert_output --partial 'the restore that was killed is complete: the whole server is that of'
  assert_line --regexp '^→ restart: .*phoenix'
  refute [ "$(live_volume)" = "$former" ]
  assert_equal "$(count)" "$rows"
  assert_whole_is_in_order $((volumes + 1))

  db -c 'insert into meetings values (7777, $$after$$)'
  have_patience
  load_start --rate 10 --websocket 0 --timeout 300000
  run -0 restore --whole-server --undo --yes
  assert_no_request_lost
  assert_output --partial "the volume $former serves again"
  assert_equal "$(count) $(live_volume)" "$rows $former"
  run -0 restore --whole-server --undo --yes
  assert_equal "$(count)" $((rows + 1))
  assert_whole_is_in_order $((volumes + 1))
}

# bats test_tags=long
@test "--whole-server, killed at each of the other steps" {
  local step volumes former
  volumes=$(volume_count)
  for step in '→ recover' '  unpacking' '  combining' '  replaying' '→ prove' '→ restart' '→ archive' '→ base'; do
    former=$(live_volume)
    killed_whole "$step" true
    case $step in *restart | *archive | *base) volumes=$((volumes + 1)) ;; esac
    run -0 restore --whole-server --dry-run
    case $step in *restart | *archive | *base) refute [ "$(live_volume)" = "$former" \
      ] ;; *) assert_equal "$(live_volume)" "$former" ;; esac
    assert_whole_is_in_order "$volumes"
    # What is written goes into the archive again, and a base that it goes on from is there or due.
    script backup --ship || true
    run -0 restore --whole-server --dry-run
  done
}

@test "--whole-server: postgres has made an empty database on an empty disk, and the archive of before is put aside: --at brings that back" {
  local before rows
  rows=$(count)
  await_received
  now >"$KEPT/emptied"
  db -c 'select pg_current_xact_id()'
  await_received
  before=$(live_volume)
  docker rm --force "$STACK-postgres-1"
  docker volume rm "$before"
  compose up --detach --wait postgres 2>&1
  timeout 60 bash -c 'until docker exec --user postgres "$0-wal-1" sh -c "ls /wal/former-*/segments" 2>/dev/null | grep -q .; do sleep 0.2; done' "$STACK" 3>&-
  run -0 --separate-stderr restore --whole-server --at "$(moment_of emptied)" --yes
  assert_equal "$(count)" "$rows"
  run -0 greeting avril
}
