#!/usr/bin/env bats
# psql on a real database: as a step of a script, and in a real terminal (tmux).

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site
load helpers/screen

setup_file() {
  site_make avril-test-psql 18411
  quiet_probes
  compose up --detach --wait --quiet-pull postgres 2>&1
  compose exec -T postgres psql -U avril -qc "alter role avril password 'one-of-the-test'" </dev/null
  set_env POSTGRES_PASSWORD=one-of-the-test
}
teardown_file() { site_down; }

teardown() { close_screen; }

# open_psql [argument …]: psql.ts in a terminal, at its prompt
open_psql() {
  open_screen "$SITE" psql "$@"
  await_screen '^avril=[#>] *$'
}

last_audit() { tail -n 1 "$SITE/.state/audit.jsonl" | node -p "JSON.parse(require('fs').readFileSync(0))$1"; }

sql() { docker exec "$STACK-postgres-1" psql -U avril -tAc "$1"; }

in_postgres() { docker exec "$STACK-postgres-1" "$@"; }

# What psql.ts has left running: processes in the container, and sessions on the server. Waits up to 20 s for none.
assert_nothing_left() {
  local end=$((SECONDS + 20)) left
  until left=$(in_postgres sh -c 'grep -lzs ^PSQL_SESSION= /proc/[0-9]*/environ'; sql \
    "select query from pg_stat_activity where application_name like 'psql of %'"); [ -z "$left" ]; do
    [ "$SECONDS" -lt "$end" ] || { printf 'left: %s\n' "$left"; in_postgres ps -ef; return 1; }
    sleep 0.2
  done
}

await_query() {
  until [ "$(sql "select count(*) from pg_stat_activity where query = '$1' and state = 'active'")" = 1 ]; do
    sleep 0.1
  done
}

# pid_of script, or pid_of PATTERN: the script in the terminal, or what it runs
pid_of() {
  local script
  script=$(pgrep --parent "$(screen display-message -p '#{pane_pid}')")
  if [ "$1" = script ]; then echo "$script"; else pgrep --parent "$script" --full -- "$1"; fi
}

@test "-c, standard input, and psql's other options, with and without --: clean stdout" {
  run --separate-stderr -0 script psql -c 'select 1 as one' --csv
  assert_output $'one\n1'
  assert_equal "$stderr" ''
  run -0 script psql -- -tAc 'select current_user, current_database()'
  assert_output 'avril|avril'
  run -0 script psql --read-only -- -tA -v x='a b' -f - <<<"select :'x';"
  assert_output 'a b'
  run --separate-stderr -0 script psql -tA <<<"select 'é€𝄞', E'tab\\there';"
  assert_output $'é€𝄞|tab\there'
  assert_equal "$stderr" ''
  run -0 script psql -l
  assert_output --partial 'template0'
  run -0 script psql -- --help
  assert_output --partial 'psql is the PostgreSQL interactive terminal.'
  run -0 script psql --help
  assert_output --partial '--read-only'
}

@test "the tsx command as it is typed" {
  cd "$SITE"
  run --separate-stderr -0 "$CHECKOUT/node_modules/.bin/tsx" scripts/psql.ts -tAc 'select 1' 3>&-
  assert_output 1
  run --separate-stderr -0 bash -c "echo 'select 2' | '$CHECKOUT/node_modules/.bin/tsx' scripts/psql.ts -tA" 3>&-
  assert_output 2
}

@test "psql's own exit codes: 1, 2, 3, and when it is killed" {
  run --separate-stderr -1 script psql -c 'select 1/0'
  assert_output ''
  assert_equal "$stderr" 'ERROR:  division by zero'
  run -1 script psql --no-such-option
  run -2 script psql -d nosuch -c 'select 1'
  run -3 script psql -v ON_ERROR_STOP=1 <<<'select 1/0;'
  run -0 script psql <<<'select 1/0;'
  # shellcheck disable=SC2016 # psql's shell
  run -137 script psql -c '\! kill -9 $PPID'
}

@test "a large result arrives whole, and a reader that goes away ends the query" {
  # shellcheck disable=SC2016 # for the shell of bash -c
  run -0 bash -c '"$@" | (sleep 1; md5sum)' - node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$SITE/scripts/psql.ts" -tAc "select repeat('é', 100) from generate_series(1, 100000)"
  assert_output "$(sql "select repeat('é', 100) from generate_series(1, 100000)" | md5sum)"
  run -0 bash -c '"$@" | head -n 1' - node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$SITE/scripts/psql.ts" -tAc 'select generate_series(1, 3000000)'
  assert_output 1
  assert_nothing_left
}

@test "--read-only refuses a write" {
  run --separate-stderr -1 script psql --read-only -c 'create table refused (id int)'
  assert_equal "$stderr" 'ERROR:  cannot execute CREATE TABLE in a read-only transaction'
  run -0 script psql -qc 'create table written (id int)'
  run -3 script psql --read-only -v ON_ERROR_STOP=1 <<<'insert into written values (1);'
  assert_equal "$(sql 'select count(*) from written')" 0
  assert_equal "$(last_audit .readOnly)" true
  # Behind psql's own words it is psql that refuses it: never a session that only seems to be read only.
  run -1 script psql -c 'select 1' --read-only
}

@test "the audit log says who, when and from where, and nothing of the SQL" {
  # What anybody can set proves nothing. A second copy goes where the file cannot be changed: the system's log.
  printf '#!/bin/sh\nprintf "%%s\\n" "$*" >>"%s/syslog"\n' "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/logger"
  chmod +x "$BATS_TEST_TMPDIR/logger"
  PATH=$BATS_TEST_TMPDIR:$PATH SSH_CONNECTION='203.0.113.7 50000 203.0.113.1 22' SUDO_USER=dupont run -0 script psql \
    -c "select 'told-to-nobody'"
  refute_regex "$(last_audit .from)" '203\.0\.113'
  refute_regex "$(last_audit .who)" 'dupont|203\.0\.113'
  assert_equal "$(last_audit .what)" psql
  assert [ "$(node -p "Date.now() - new Date('$(last_audit .time)')")" -lt 60000 ]
  await_line "$BATS_TEST_TMPDIR/syslog" '^--tag avril --priority authpriv.notice -- '
  assert_equal "$(sed 's/^.* -- //' "$BATS_TEST_TMPDIR/syslog")" "$(tail -n 1 "$SITE/.state/audit.jsonl")"
  # sudo and su keep the login uid.
  # shellcheck disable=SC2016 # for the shell of bash -c
  run -0 bash -c 'echo "$(id -u nobody)" >/proc/self/loginuid && exec "$@"' - node \
    --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$SITE/scripts/psql.ts" -c 'select 1'
  assert_equal "$(last_audit .who)" nobody
  cp "$(command -v bash)" "$BATS_TEST_TMPDIR/cron"
  run -0 "$BATS_TEST_TMPDIR/cron" -c '"$@"; exit' - node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$SITE/scripts/psql.ts" -c 'select 1'
  assert_equal "$(last_audit .from)" cron
  run -0 stat -c %a "$SITE/.state/audit.jsonl"
  assert_output 600
  run -1 grep -rE 'told-to-nobody|one-of-the-test' "$SITE/.state"
}

@test "without a line in the audit log nobody gets to the data" {
  rm -f "$SITE/.state/audit.jsonl"
  mkdir -p "$SITE/.state/audit.jsonl"
  run --separate-stderr -1 script psql -c 'create table unseen (id int)'
  rmdir "$SITE/.state/audit.jsonl"
  assert_output ''
  assert_regex "$stderr" '^error: no psql without a line in the audit log.*hint: '
  assert_equal "$(sql "select to_regclass('unseen')")" ''
}

@test "the password stands in no argument list; others see whose session it is; kill -9 leaves nothing" {
  exec_script psql -c 'select pg_sleep(600)' &
  local session=$!
  await_query 'select pg_sleep(600)'
  run -0 sql "select application_name from pg_stat_activity where query = 'select pg_sleep(600)'"
  assert_output --regexp '^psql of .'
  run ps -eo args
  assert_output --partial 'select pg_sleep(600)'
  refute_output --partial 'one-of-the-test'
  run in_postgres ps -eo args
  refute_output --partial 'one-of-the-test'
  kill -9 "$session"
  assert_nothing_left
}

@test "SQL that comes by the standard input stands in no argument list" {
  exec_script psql <<<"select pg_sleep(600), 'a-word-of-a-person';" >/dev/null 2>&1 &
  local session=$!
  await_query "select pg_sleep(600), ''a-word-of-a-person'';"
  run -0 ps -eo args
  assert_output --partial 'scripts/psql.js'
  refute_output --partial 'a-word-of-a-person'
  run -0 in_postgres ps -eo args
  refute_output --partial 'a-word-of-a-person'
  kill "$session"
  assert_nothing_left
}

@test "a terminal: Ctrl-C cancels the query and not the session, the size follows, Ctrl-D ends with 0" {
  open_psql
  assert_regex "$(last_audit .from)" '^/dev/pts/[0-9]+$'
  enter 'select pg_sleep(60);'
  await_query 'select pg_sleep(60);'
  screen send-keys C-c
  await_screen 'ERROR:  canceling statement due to user request'
  enter "select 'né', 6 * 7;"
  await_screen '^ né +\| +42$'
  enter '\! stty size'
  await_screen '^24 80$'
  screen resize-window -x 100 -y 30
  # Docker hands on the new size at its own time.
  # shellcheck disable=SC2016 # for the shell in the container
  in_postgres sh -c 'until stty size -F "/dev/$(ps -o tty= -C psql)" | grep -qx "30 100"; do sleep 0.1; done'
  enter '\! stty size'
  await_screen '^30 100$'
  await_screen '^avril=# *$'
  screen send-keys C-d
  await_screen '^ended with 0$'
  assert_nothing_left
}

@test "a terminal: --read-only, a long result in a pager, \\q" {
  open_psql --read-only
  enter 'create table refused (id int);'
  await_screen 'cannot execute CREATE TABLE in a read-only transaction'
  enter 'select generate_series(1, 100);'
  await_screen '^(--More--|:)'
  screen send-keys q
  await_screen '^avril=# *$'
  enter '\q'
  await_screen '^ended with 0$'
}

@test "a terminal: the history is kept for the next session, also when the container was replaced" {
  open_psql
  enter "select 'kept for later';"
  await_screen '^ kept for later$'
  enter '\q'
  await_screen '^ended with 0$'
  screen kill-server
  run -0 in_postgres stat -c %a "/var/lib/postgresql/.psql_history-$(id -un)"
  assert_output 600
  compose up --detach --wait --force-recreate --no-deps postgres
  open_psql
  screen send-keys Up Up
  await_screen "^avril=# select 'kept for later';$"
  screen send-keys Enter
  await_screen '^ kept for later$'
}

@test "a terminal: \\e edits with what is there, or with the editor of the container" {
  open_psql
  enter 'select 1,'
  enter '  2,'
  enter '  3'
  enter '\e'
  await_screen '^  3$'
  screen send-keys Up Up Down
  screen send-keys -l "  'a line more' as added,"
  screen send-keys C-j Enter
  await_screen '^avril-# *$'
  enter ';'
  await_screen '^ +1 \| a line more \| +2 \| +3$'
  enter '\e'
  await_screen '^;$'
  screen send-keys C-c
  await_screen '^avril=# *$'
  enter "select 'goes on';"
  await_screen '^ goes on$'
  screen kill-server

  # shellcheck disable=SC2016 # for the shell in the container
  printf '#!/bin/sh\necho "select \$\$by an editor\$\$;" >"$1"\n' |
    docker exec -i "$STACK-postgres-1" sh -c 'cat >/usr/local/bin/nano && chmod +x /usr/local/bin/nano'
  open_psql
  enter '\e'
  await_screen '^ by an editor$'
  in_postgres rm /usr/local/bin/nano
}

@test "a terminal that is lost, or a client that is killed, leaves no psql and no query behind" {
  open_psql
  enter 'select pg_sleep(60);'
  await_query 'select pg_sleep(60);'
  screen kill-server
  assert_nothing_left
  local victim
  for victim in script 'docker exec --interactive --tty' 'docker exec --interactive --user postgres [0-9a-f]+ sh'; do
    open_psql
    enter 'select pg_sleep(60);'
    await_query 'select pg_sleep(60);'
    kill -9 "$(pid_of "$victim")"
    assert_nothing_left
    await_screen 'ended with (129|137)$'
    screen kill-server
  done
}

@test "postgres that does not run: said, with 69, and no word on stdout" {
  compose stop --timeout 5 postgres
  run --separate-stderr -69 script psql -c 'select 1'
  assert_output ''
  assert_regex "$stderr" '^error: postgres is not running.*hint: '
  compose up --detach --wait postgres
}
