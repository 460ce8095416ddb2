#!/usr/bin/env bats
# A signal at any moment of a restore: the script ends soon, nothing that it has started lives on, and postgres is as it
# was.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site

setup_file() {
  site_up avril-test-signals 18522 "BACKUP_DIR=$BATS_FILE_TMPDIR/sets"
  docker exec "$STACK-postgres-1" psql -qAtX -U avril -d avril \
    -c "create table words as select n::text as word from generate_series(1, 1000) n" 3>&-
  script backup --no-files
  # Of no set, so it is tried out in a throw-away server first.
  export STRANGE=$BATS_FILE_TMPDIR/strange.dump
  docker exec "$STACK-postgres-1" pg_dump --username=avril --dbname=avril --format=custom >"$STRANGE" 3>&-
}
teardown_file() { site_down; }

state_of_postgres() { docker inspect --format '{{.State.Status}}' "$STACK-postgres-1"; }

# postgres_is up|stopped|broken: makes it so, whatever it was
postgres_is() {
  compose stop postgres 2>&1
  # shellcheck disable=SC2016 # for the container
  compose run --rm --no-deps --no-TTY --entrypoint bash postgres \
    -c 'cd "$PGDATA"; sed -i /nonsense/d postgresql.auto.conf; [ "$0" != broken ] || echo "shared_preload_libraries = nonsense" >>postgresql.auto.conf' "$1" </dev/null
  case $1 in
    up) compose up --detach --wait postgres 2>&1 ;;
    broken) compose start postgres 2>&1 ;;
  esac
}

# assert_as_it_was up|stopped|broken
assert_as_it_was() {
  case $1 in
    up) assert_equal "$(state_of_postgres)" running ;;
    stopped) assert_equal "$(state_of_postgres)" exited ;;
    # It ends, and the engine starts it again, and again.
    broken) assert_regex "$(state_of_postgres)" '^(running|restarting)$' ;;
  esac
}

# children: the processes that carry the mark of this test
children() {
  grep --files-with-matches --null-data --line-regexp --fixed-strings "SIGNALS_TEST=$BATS_TEST_NUMBER" \
    /proc/[0-9]*/environ 2>/dev/null || true
}

# restore_begun [DUMP]: a restore, as RESTORE, that listens to signals by now
restore_begun() {
  : >"$BATS_TEST_TMPDIR/err"
  SIGNALS_TEST=$BATS_TEST_NUMBER exec_script backup_restore \
    --yes "${1:-latest}" </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/err" &
  RESTORE=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→'
}

# assert_ended SIGNAL: the restore ends by it soon (or had ended), and nothing is left of it
assert_ended() {
  local since=$EPOCHREALTIME status=0
  timeout 60 tail --pid="$RESTORE" --follow /dev/null || {
    kill -9 "$RESTORE"
    echo "it did not end by $1:"
    cat "$BATS_TEST_TMPDIR/err"
    return 1
  }
  wait "$RESTORE" || status=$?
  local spent=$(((${EPOCHREALTIME/./} - ${since/./}) / 1000))
  echo "$1 in state ${2:-}: exit code $status after $spent ms"
  [ "$status" -eq 0 ] || [ "$status" -eq 1 ] || assert_equal "$status" $((128 + $(kill -l "$1")))
  assert_equal "$(children)" ''
  assert_equal "$(docker ps --all --quiet --filter "label=avril.restore=$STACK")" ''
  assert_equal "$(docker ps --all --quiet --filter "label=avril.drill=$STACK")" ''
}

@test "a signal while a container of its own is starting: it ends, and postgres is started again" {
  postgres_is broken
  local pair signal moment
  # One event or the other of the container that is being made.
  for pair in TERM:create INT:start HUP:create; do
    signal=${pair%:*} moment=${pair#*:}
    coproc EVENTS {
      exec docker events --filter "label=avril.restore=$STACK" --filter "event=$moment" --format '{{.Action}}' 3>&-
    }
    local events=$EVENTS_PID
    restore_begun
    read -r -t 60 -u "${EVENTS[0]}" _
    kill -"$signal" "$RESTORE"
    kill "$events"
    assert_ended "$signal" "$moment"
    assert_as_it_was broken
  done
}

for state in up stopped broken; do
  case $state in up) tags= ;; *) tags=long ;; esac
  bats_test_function --tags "$tags" \
    --description "signals at random moments of a restore, postgres $state: nothing is left of it, and postgres is as it was" -- at_random "$state"
done

at_random() {
  postgres_is "$1"
  local round signals=(TERM INT HUP) dumps=(latest "$STRANGE")
  RANDOM=${SEED:-$$}
  echo "SEED=${SEED:-$$}"
  for round in $(seq 6); do
    restore_begun "${dumps[round % 2]}"
    sleep "$((RANDOM % 4)).$((RANDOM % 1000))"
    local signal=${signals[round % 3]}
    kill -"$signal" "$RESTORE" || true
    assert_ended "$signal" "$1"
    # One that was over before starts the server of the stack.
    grep --quiet '^→ swap' "$BATS_TEST_TMPDIR/err" && postgres_is "$1"
    assert_as_it_was "$1"
  done
  postgres_is up
  run -0 script backup_restore --dry-run
  refute_output --partial 'which an interrupted restore left'
  run -0 greeting avril
}
